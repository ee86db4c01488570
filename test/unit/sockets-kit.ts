/** What the tests of listening sockets share: servers, clients, and an end to both. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import { HaltServer } from '../../src/errors.ts';
import type { BindAddress } from '../../src/platform/address.ts';
import { listenOnHandle } from '../../src/platform/socket-handle.ts';
import { Listeners, type ListeningSocket } from '../../src/platform/sockets.ts';

export const temporary = mkdtempSync(join(tmpdir(), 'tsunicorn-listeners-'));
after(() => rmSync(temporary, { recursive: true }));

export const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const undone of undo.splice(0).reverse()) await undone();
});

export function listeners(reusePort = true, socketMode = 0o666): Listeners {
  const made = new Listeners({ reusePort, socketMode });
  undo.push(() => made.release());
  return made;
}

export const tcp = (port = 0, host = '127.0.0.1'): BindAddress => ({ kind: 'tcp', host, port });
export const unix = (path: string): BindAddress => ({ kind: 'unix', path });
let files = 0;
export const socketPath = (): string => join(temporary, `${files++}.sock`);

export function answering(word: string): net.Server {
  // A client that only checks for a listener is gone before the answer.
  return net.createServer((socket) => socket.on('error', () => {}).end(word));
}

/** Another program's server. */
export async function listening(server: net.Server, ...where: unknown[]): Promise<net.Server> {
  await new Promise<void>((resolve) => server.listen(...(where as [number]), resolve));
  undo.push(() => new Promise((resolve) => server.close(resolve)));
  return server;
}

export const portOf = (listener: ListeningSocket | undefined): number => {
  const at: { port?: number } = {};
  listener?.handle.getsockname?.(at);
  return at.port ?? 0;
};

/** Accepts on a listener as a worker would, and answers with `word`. */
export function accept(listener: ListeningSocket | undefined, word: string): void {
  assert.ok(listener);
  const server = answering(word);
  listenOnHandle(server, listener.handle, 511);
  undo.push(() => server.close());
}

export async function connect(options: net.NetConnectOpts): Promise<string> {
  let text = '';
  for await (const chunk of net.connect(options).setEncoding('utf8')) text += chunk;
  return text;
}

export async function refuses(addresses: BindAddress[], message: RegExp, reusePort = true): Promise<void> {
  await assert.rejects(listeners(reusePort).bind(addresses, 2), (error) => {
    assert.ok(error instanceof HaltServer, String(error));
    assert.equal(error.status, 69);
    assert.match(error.message, message);
    return true;
  });
}
