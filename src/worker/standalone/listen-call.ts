/** The arguments of `net.Server.listen()`, in any of its forms (https://nodejs.org/api/net.html#serverlisten). */
import type { ListenOptions } from 'node:net';
import { isObject } from '../app/duck-typing.ts';

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

/** For people. */
export function describeCall({ port, options }: ListenCall): string {
  if (port === undefined) return options.path ?? 'a descriptor';
  return port === 0 ? 'any port' : `port ${port}`;
}

/** Undefined for arguments that Node.js' own listen() refuses, with its message. */
export function parseListenCall(args: readonly unknown[]): ListenCall | undefined {
  const last = args.at(-1);
  const callback = typeof last === 'function' ? (last as () => void) : undefined;
  const options = optionsOf(args);
  const { path, fd } = options as { path?: unknown; fd?: unknown };
  const isDescriptor =
    path === undefined && options.port === undefined && (typeof fd === 'number' || isHandle(args[0]));
  if (isDescriptor || typeof path === 'string') return { port: undefined, callback, options };
  const port = path === undefined && 'port' in options ? portOf(options.port ?? 0) : undefined;
  return port === undefined ? undefined : { port, callback, options: { ...options, port } };
}

/** `listen(options)`, `listen(path, backlog)`, `listen(port, backlog)` and `listen(port, host, backlog)`. */
function optionsOf(args: readonly unknown[]): ListenCall['options'] {
  const [first, second] = args;
  if (isObject(first)) return { ...first };
  const backlog = args.slice(1, 3).find(isNumeric);
  const rest = {
    ...(typeof second === 'string' && { host: second }),
    ...(backlog !== undefined && { backlog: Number(backlog) }),
  };
  if (typeof first === 'string' && !isNumeric(first)) return { path: first, ...rest };
  return { port: typeof first === 'function' ? 0 : (first as number), ...rest };
}

function portOf(port: unknown): number | undefined {
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
