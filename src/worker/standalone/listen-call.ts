/** What a program asked of `net.Server.listen()`, in whichever of its forms (https://nodejs.org/api/net.html). */
import type { ListenOptions } from 'node:net';

export interface ListenCall {
  /** A TCP port, 0 where any will do; undefined for a path or a descriptor. */
  readonly port: number | undefined;
  readonly host: string | undefined;
  /** A unix socket. */
  readonly path: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly callback: (() => void) | undefined;
  /** The same in the one form that takes everything. */
  readonly options: ListenOptions & { fd?: number };
}

/** A server that has not been asked to listen, and is served all the same. */
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

/** undefined for what Node.js throws on: its own listen() has the message. */
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

/** A server, a socket or a handle whose descriptor is to be taken over. */
function isHandle(value: unknown): boolean {
  return isObject(value) && (isObject(value._handle) || isObject((value as { handle?: unknown }).handle));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
