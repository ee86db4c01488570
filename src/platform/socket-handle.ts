/**
 * Node.js' internal socket handles, in this file alone. Public API cannot bind a socket without accepting on it
 * (`net.BoundSocket` is new in 24.21), nor accept on a unix socket whose descriptor came over the IPC channel.
 */
import net from 'node:net';

/** libuv's UV_TCP_REUSEPORT for `uv_tcp_bind()`, since Node.js 22.12. */
export const REUSE_PORT = 2;

/** A bound socket that this process does not accept on. */
export interface SocketHandle {
  readonly fd: number;
  close(): void;
  getsockname?(out: { address?: string; port?: number; family?: string }): number;
}

interface InternalNet {
  /** `family` is 4, 6, or -1 for a unix socket or a descriptor. Returns a negative errno on failure. */
  _createServerHandle(
    host: string | null,
    port: number,
    family: number,
    fd?: number,
    flags?: number,
  ): SocketHandle | number;
}

interface InternalServer {
  _handle: SocketHandle | null;
  _listen2(address: null, port: -1, addressType: -1, backlog: number): void;
}

const { _createServerHandle: create } = net as unknown as InternalNet;

/** @throws {Error} whose code and message are the name of the errno */
function checked(handle: SocketHandle | number): SocketHandle {
  // libuv reports EADDRINUSE of bind(2) only at the next call (uv_tcp_bind, `delayed_error`).
  const errno = typeof handle === 'number' ? handle : (handle.getsockname?.({}) ?? 0);
  if (typeof handle !== 'number' && errno === 0) return handle;
  if (typeof handle !== 'number') handle.close();
  throw errnoError(-errno);
}

/** Its code and message are the errno's name, such as EADDRINUSE. */
export function errnoError(errno: number): NodeJS.ErrnoException {
  const code = process.getBuiltinModule('node:util').getSystemErrorName(-errno);
  return Object.assign(new Error(code), { code });
}

export function bindTcp(host: string, port: number, family: number, flags: number): SocketHandle {
  return checked(create(host, port, family, undefined, flags));
}

export function bindUnix(path: string): SocketHandle {
  return checked(create(path, -1, -1));
}

/** Takes over a descriptor that is a bound TCP or unix stream socket. */
export function openDescriptor(fd: number): SocketHandle {
  return checked(create(null, 0, -1, fd));
}

/** Starts to accept on `handle`, which the server then owns. A failing listen(2) is an 'error' event. */
export function listenOnHandle(server: net.Server, handle: SocketHandle, backlog: number): void {
  const inner = server as unknown as InternalServer;
  inner._handle = handle;
  inner._listen2(null, -1, -1, backlog);
}
