/** The arguments of `net.Server.listen()`, in any of its forms (https://nodejs.org/api/net.html#serverlisten). */
import type { ListenOptions } from 'node:net';
import { can, isObject } from '../app/duck-typing.ts';

export interface ListenCall {
  /** A TCP port, 0 for any; undefined for a path or a descriptor. */
  readonly port: number | undefined;
  readonly callback: (() => void) | undefined;
  /** All arguments but the callback as an options object. */
  readonly options: ListenOptions & { fd?: number };
}

/** For a server that is served without having been told to listen. */
export const NO_CALL: ListenCall = { port: 0, callback: undefined, options: {} };

const LAST_PORT = 65_535;

export function describeCall({ port, options }: ListenCall): string {
  if (port === undefined) return options.path ?? 'a descriptor';
  return port === 0 ? 'any port' : `port ${port}`;
}

/** Undefined for arguments that Node.js' own listen() refuses, with its message. The checks come in its order. */
export function parseListenCall(args: readonly unknown[]): ListenCall | undefined {
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  const given = optionsOf(args);
  const options = (given._handle || given.handle || given) as Readonly<Record<string, unknown>>;
  const { fd, path, host, signal } = options;
  const backlog = (options.backlog || numberOf(args[1]) || numberOf(args[2]) || undefined) as number | undefined;
  const call = (port: number | undefined, own: object): ListenCall => ({
    port,
    callback,
    options: backlog === undefined ? own : { ...own, backlog },
  });
  if (isHandle(options)) return call(undefined, { handle: options });
  if (signal !== undefined && !(isObject(signal) && 'aborted' in signal)) return undefined;
  if (typeof fd === 'number' && fd >= 0) return call(undefined, { ...options, port: undefined, path: undefined });
  const port = 'port' in options ? (options.port ?? 0) : undefined;
  if (typeof port === 'number' || typeof port === 'string') {
    const isValid = isPort(port) && (!host || typeof host === 'string');
    // A `path` beside a port has no effect: SvelteKit gives both.
    return isValid ? call(Number(port), { ...options, fd: undefined, path: undefined, port: Number(port) }) : undefined;
  }
  return isPath(path) ? call(undefined, { ...options, fd: undefined, port: undefined }) : undefined;
}

/** `listen(options)`, `listen(path, backlog)`, `listen(port, backlog)` and `listen(port, host, backlog)`. */
function optionsOf(args: readonly unknown[]): Readonly<Record<string, unknown>> {
  const [first, host] = args;
  if (isObject(first)) return first;
  if (isPath(first)) return { path: first };
  const port = typeof first === 'function' ? 0 : first;
  return typeof host === 'string' ? { port, host } : { port };
}

/** A native one, or a net.BoundSocket. */
function isHandle(value: unknown): boolean {
  return can(value, 'getAsyncId') || can(value, 'address', 'close');
}

function isPort(port: number | string): boolean {
  const number = typeof port === 'string' && port.trim() === '' ? Number.NaN : Number(port);
  return Number.isInteger(number) && number >= 0 && number <= LAST_PORT;
}

function isPath(value: unknown): value is string {
  return typeof value === 'string' && numberOf(value) === undefined;
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN;
  return number >= 0 ? number : undefined;
}
