/**
 * What both the program of an http.Server and the user can set. The program's value holds, whether it sets it before
 * `listen()` or later, unless the user gave the setting for it.
 */
import type { Server } from 'node:http';
import type { Settings } from '../../config/settings.ts';
import { http } from '../../platform/node-http.ts';
import type { RequestLimits } from './gate.ts';

/** Times in seconds, 0 is off. */
export type ServerSettings = RequestLimits &
  Pick<Settings, 'keepalive' | 'headerTimeout' | 'bodyTimeout' | 'limitHeaderSize' | 'workerConnections'>;

export interface SettingsGiven {
  /** Settings that the user gave; the others have their defaults. */
  readonly given: readonly (keyof Settings)[];
  /** The program's value has no effect; `text` says which one has. */
  overruled(text: string): void;
}

interface SharedProperty {
  readonly setting: keyof ServerSettings;
  readonly variable: string;
  readonly value: (settings: ServerSettings) => number | undefined;
}

const SHARED = {
  keepAliveTimeout: { setting: 'keepalive', variable: 'TSUNICORN_KEEPALIVE', value: (s) => s.keepalive * 1000 },
  headersTimeout: {
    setting: 'headerTimeout',
    variable: 'TSUNICORN_HEADER_TIMEOUT',
    value: (s) => s.headerTimeout * 1000,
  },
  requestTimeout: { setting: 'bodyTimeout', variable: 'TSUNICORN_BODY_TIMEOUT', value: (s) => s.bodyTimeout * 1000 },
  maxHeadersCount: {
    setting: 'limitRequestFields',
    variable: 'TSUNICORN_LIMIT_REQUEST_FIELDS',
    // One more than allowed, to tell too many from just enough: Node.js drops the rest silently.
    value: (s) => s.limitRequestFields + 1,
  },
  // Documented as an option of createServer() alone, but the app may have made the server already.
  maxHeaderSize: {
    setting: 'limitHeaderSize',
    variable: 'TSUNICORN_LIMIT_HEADER_SIZE',
    value: (s) => s.limitHeaderSize,
  },
  maxConnections: {
    setting: 'workerConnections',
    variable: 'TSUNICORN_WORKER_CONNECTIONS',
    value: (s) => s.workerConnections || undefined,
  },
} as const satisfies Record<string, SharedProperty>;

type Property = keyof typeof SHARED;
type ServerProperties = { [K in Property]?: number | null | undefined };

const PROPERTIES = Object.keys(SHARED) as Property[];
let plain: ServerProperties | undefined;
/** A server as Node.js makes it. Not made at import: a preload of the app may have broken createServer(), which is to be told. */
function plainServer(): ServerProperties {
  plain ??= http.createServer();
  return plain;
}

/** Of Node.js without `--max-http-header-size`. */
const NODE_HEADER_SIZE = 16_384;

/** Which properties a program has set since it made the server, though it may be to their defaults. */
const assigned = new WeakMap<ServerProperties, Set<Property>>();

/** From now on it is known what programs set on their servers. Called before the app is loaded. */
export function watchAssignments(): void {
  plainServer();
  for (const name of PROPERTIES) {
    // The constructor's own assignment comes here, or the program's first where there is none.
    const set = function (this: ServerProperties, first: ServerProperties[Property]): void {
      const names = assigned.get(this) ?? new Set();
      assigned.set(this, names);
      define(this, name, first, (value) => {
        names.add(name);
        return value;
      });
    };
    Object.defineProperty(http.Server.prototype, name, { configurable: true, get: () => undefined, set });
  }
}

/** Gives `server` the settings, except where its program's hold. Returns the limits that {@link Gate} has to keep to. */
export function applySettings(
  server: Server,
  settings: ServerSettings,
  { given, overruled }: SettingsGiven,
): RequestLimits {
  const own: ServerProperties = server;
  const flag = http.maxHeaderSize === NODE_HEADER_SIZE ? undefined : http.maxHeaderSize;
  const losers: string[] = [];
  for (const name of PROPERTIES) {
    const { setting, variable, value: valueIn } = SHARED[name];
    const [ours, theirs] = [valueIn(settings), own[name]];
    const isSet = assigned.get(server)?.has(name) || theirs !== plainServer()[name];
    const holds = `server.${name} is ${ours ?? 'not limited'} by ${variable}`;
    const byFlag = name === 'maxHeaderSize' && !isSet && flag !== undefined;
    if (!given.includes(setting)) define(server, name, isSet || byFlag ? theirs : ours);
    else {
      if (isSet && theirs !== ours) losers.push(`${holds}, not ${theirs} as the app sets it`);
      if (byFlag && flag !== ours) losers.push(`${holds}, not ${flag} as --max-http-header-size sets it`);
      define(server, name, ours, (value) => {
        if (value !== ours) overruled(`${holds}, not ${value} as the app sets it`);
        return ours;
      });
    }
  }
  if (losers.length > 0) overruled(losers.join('; '));
  const { limitRequestLine, limitRequestFields, limitBodySize, limitHeaderSize } = settings;
  const followsHeader = !given.includes('limitRequestLine');
  const fieldCount = SHARED.maxHeadersCount.value(settings);
  return {
    limitBodySize,
    /** A program with room for larger heads has it for longer URLs too. */
    get limitRequestLine() {
      const headerSize = own.maxHeaderSize || http.maxHeaderSize;
      return followsHeader && headerSize > limitHeaderSize ? headerSize : limitRequestLine;
    },
    /** Node.js itself keeps to a count of the program's. */
    get limitRequestFields() {
      return own.maxHeadersCount === fieldCount ? limitRequestFields : Number.POSITIVE_INFINITY;
    },
  };
}

/** A plain property, or one for which `assign` decides what an assignment makes of it. */
function define<T>(server: ServerProperties, name: Property, value: T, assign?: (value: T) => T): void {
  const access = {
    get: () => value,
    set: (next: T) => {
      value = assign ? assign(next) : next;
    },
  };
  const how = assign ? access : { value, writable: true };
  Object.defineProperty(server, name, { configurable: true, enumerable: true, ...how });
}
