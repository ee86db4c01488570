/** What kind of server a program listens with, by what it can do: it may bring a class of its own. */
import type { Server as HttpServer } from 'node:http';
import type { Server } from 'node:net';

type ServerKind = 'http' | 'https' | 'http2' | 'other';

export function kindOf(server: Server): ServerKind {
  if ('updateSettings' in server) return 'http2';
  const isTls = 'setSecureContext' in server;
  if (isHttp(server)) return isTls ? 'https' : 'http';
  return 'other';
}

export function isHttp(value: unknown): value is HttpServer {
  return typeof value === 'object' && value !== null && 'maxHeadersCount' in value && 'listen' in value;
}

/** Whether `server` serves what the module exports: that itself, or a framework's app around it. */
export function serves(server: Server, exported: unknown): boolean {
  if (server === exported) return true;
  if (typeof exported === 'function') return server.listeners('request').some((listener) => listener === exported);
  if (typeof exported !== 'object' || exported === null) return false;
  const { server: own, getHttpServer } = exported as { server?: unknown; getHttpServer?: unknown };
  return own === server || (typeof getHttpServer === 'function' && getHttpServer.call(exported) === server);
}
