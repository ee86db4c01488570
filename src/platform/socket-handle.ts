/**
 * The one place that touches Node.js' undocumented socket handles. Two things have no public form in every supported
 * version: to bind a socket without accepting on it (`net.BoundSocket` is new in 24.21), and to accept on a descriptor
 * that arrived over the IPC channel when it is a unix socket.
 */
import net from 'node:net';

/** libuv's UV_TCP_REUSEPORT for `uv_tcp_bind()`; from Node.js 22.12. */
export const REUSE_PORT = 2;

/** A bound socket that nobody in this process accepts on. */
export interface SocketHandle {
  readonly fd: number;
  close(): void;
  getsockname?(out: { address?: string; port?: number; family?: string }): number;
}

interface InternalNet {
  _createServerHandle(
    address: string | null,
    port: number,
    addressType: 4 | 6 | -1,
    fd?: number,
    flags?: number,
  ): SocketHandle | number;
}

interface InternalServer {
  _handle: SocketHandle | null;
  _listen2(address: null, port: -1, addressType: -1, backlog: number): void;
}

const internal = net as unknown as InternalNet;

/** The errno name and call of a failed bind, as `code` and `message`. */
export class BindError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

function checked(handle: SocketHandle | number): SocketHandle {
  if (typeof handle === 'number') throw new BindError(errnoName(handle));
  // libuv keeps EADDRINUSE of bind(2) back until the address is used (uv_tcp_bind, `delayed_error`).
  const status = handle.getsockname?.({}) ?? 0;
  if (status !== 0) {
    handle.close();
    throw new BindError(errnoName(status));
  }
  return handle;
}

function errnoName(errno: number): string {
  return process.getBuiltinModule('node:util').getSystemErrorName(errno);
}

export function bindTcp(host: string, port: number, family: 4 | 6, flags: number): SocketHandle {
  return checked(internal._createServerHandle(host, port, family, undefined, flags));
}

export function bindUnix(path: string): SocketHandle {
  return checked(internal._createServerHandle(path, -1, -1));
}

/** Takes over a descriptor that is a bound TCP or unix stream socket. */
export function openDescriptor(fd: number): SocketHandle {
  return checked(internal._createServerHandle(null, 0, -1, fd));
}

/** Starts to accept on `handle`; the server owns it from here on. Errors are thrown. */
export function listenOnHandle(server: net.Server, handle: SocketHandle, backlog: number): void {
  const inner = server as unknown as InternalServer;
  inner._handle = handle;
  inner._listen2(null, -1, -1, backlog);
}
