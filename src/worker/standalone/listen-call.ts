/** The arguments of `net.Server.listen()`, in any of its forms (https://nodejs.org/api/net.html#serverlisten). */
import type { ListenOptions } from 'node:net';
import { isObject } from '../app/duck-typing.ts';

export interface ListenCall {
  /** A TCP port, 0 for any; undefined for a path or a descriptor. */
  readonly port: number | undefined;
  readonly host: string | undefined;
  /** A unix socket. */
  readonly path: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly callback: (() => void) | undefined;
  /** The same as an options object. */
  readonly options: ListenOptions & { fd?: number };
}

/** For a server that is served without having been told to listen. */
export const NO_CALL: ListenCall = {
  port: 0,
  host: undefined,
  path: undefined,
  signal: undefined,
  callback: undefined,
  options: {},
};

const LAST_PORT = 65_535;

/** For people. */
export function describeCall({ port, path }: ListenCall): string {
  if (path !== undefined) return path;
  return port === undefined ? 'a descriptor' : port === 0 ? 'any port' : `port ${port}`;
}

/** Undefined for arguments that Node.js' own listen() refuses, with its message. */
export function parseListenCall(args: readonly unknown[]): ListenCall | undefined {
  const [first, second] = args;
  const last = args.at(-1);
  const options = optionsOf(first, args);
  const { port, path, fd } = options as { port?: unknown; path?: unknown; fd?: unknown };
  const isDescriptor = path === undefined && port === undefined && (typeof fd === 'number' || isHandle(first));
  const number = isDescriptor || path !== undefined ? undefined : portOf(port, 'port' in options || args.length === 0);
  if (!isDescriptor && typeof path !== 'string' && number === undefined) return undefined;
  const host = options.host ?? (typeof second === 'string' && !isObject(first) ? second : undefined);
  return {
    port: number,
    host: number === undefined ? undefined : host,
    path: typeof path === 'string' ? path : undefined,
    signal: options.signal,
    callback: typeof last === 'function' ? (last as () => void) : undefined,
    options: number === undefined ? options : { ...options, port: number, ...(host === undefined ? {} : { host }) },
  };
}

function optionsOf(first: unknown, args: readonly unknown[]): ListenCall['options'] {
  if (isObject(first)) return { ...first };
  if (first === undefined || first === null || typeof first === 'function') return { port: 0, ...backlogOf(args) };
  if (typeof first === 'string' && !isNumeric(first)) return { path: first, ...backlogOf(args) };
  return { port: first as number, ...backlogOf(args) };
}

/** `listen(port, backlog)` and `listen(port, host, backlog)`. */
function backlogOf(args: readonly unknown[]): { backlog?: number } {
  const backlog = args.slice(1, 3).find(isNumeric);
  return backlog === undefined ? {} : { backlog: Number(backlog) };
}

function portOf(port: unknown, mayBeMissing: boolean): number | undefined {
  if (port === undefined || port === null) return mayBeMissing ? 0 : undefined;
  const number = isNumeric(port) ? Number(port) : Number.NaN;
  return Number.isInteger(number) && number >= 0 && number <= LAST_PORT ? number : undefined;
}

function isNumeric(value: unknown): boolean {
  return typeof value === 'number' || (typeof value === 'string' && value.trim() !== '' && Number(value) >= 0);
}

/** A server, socket or handle whose descriptor to take over. */
function isHandle(value: unknown): boolean {
  return isObject(value) && (isObject(value._handle) || isObject(value.handle));
}
