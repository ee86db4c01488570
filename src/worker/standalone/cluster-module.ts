/**
 * Catches node:cluster while it loads, so that a program without it pays nothing. However a program asks for it
 * (`require`, `import`, with named imports or through another module), Node.js evaluates one built-in module, which reads
 * `fork` of node:child_process first and then makes the EventEmitter that it exports.
 */
import type { ChildProcess, ForkOptions } from 'node:child_process';
import type { EventEmitter } from 'node:events';
import { isObject } from '../app/duck-typing.ts';

const LOADED = 'NativeModule cluster';
const LOADER = 'node:internal/cluster/primary';
/** By this variable node:cluster tells a process that it is a worker. */
const CLUSTER_VARIABLE = 'NODE_UNIQUE_ID';

type Fork = (...args: [string, ...unknown[]]) => ChildProcess;
type Init = (this: EventEmitter, options?: unknown) => void;

/**
 * `adopt` gets what node:cluster exports, before the program does: while it loads, or now. `refuse`: for a fork of a
 * cluster's worker that is tried although an agent has hidden the module from us.
 */
export function whenClusterLoads(
  process: NodeJS.Process,
  adopt: (cluster: EventEmitter) => void,
  refuse: () => never,
): void {
  const { moduleLoadList = [] } = process as { moduleLoadList?: readonly string[] };
  if (moduleLoadList.includes(LOADED)) {
    // A preloaded module (--import) has loaded it.
    adopt(process.getBuiltinModule('node:cluster') as unknown as EventEmitter);
    return process.getBuiltinModule('node:module').syncBuiltinESMExports();
  }
  const childProcess = process.getBuiltinModule('node:child_process') as unknown as { fork: Fork };
  const original = childProcess.fork;
  let current: Fork = function fork(...args) {
    const options = args.find((arg) => isObject(arg) && 'env' in arg) as ForkOptions | undefined;
    return options?.env?.[CLUSTER_VARIABLE] === undefined ? original(...args) : refuse();
  };
  const define = (property: PropertyDescriptor): void =>
    void Object.defineProperty(childProcess, 'fork', { configurable: true, enumerable: true, ...property });
  define({
    get: function read() {
      if (fileOf(callerOf(read)) !== LOADER) return current;
      define({ value: current, writable: true });
      nextEmitter(process, adopt);
      return original;
    },
    set: (fork: Fork) => {
      current = fork;
    },
  });
}

/** `made` gets the next EventEmitter, once it is made. */
function nextEmitter(process: NodeJS.Process, made: (emitter: EventEmitter) => void): void {
  const events = process.getBuiltinModule('node:events') as unknown as { init: Init };
  const { init } = events;
  events.init = function once(options) {
    events.init = init;
    init.call(this, options);
    made(this);
  };
}

/** The place from which `callee` was called, `file:line:column`, with a path, a URL or a name of Node.js for the file. */
export function callerOf(callee: (...args: never[]) => unknown): string | undefined {
  const { stackTraceLimit, prepareStackTrace } = Error;
  const trace = { stack: '' };
  Object.assign(Error, { stackTraceLimit: 1, prepareStackTrace: undefined }); // the app's may make anything of it
  Error.captureStackTrace(trace, callee);
  const line = trace.stack.split('\n').at(-1) ?? '';
  Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  return /^ {4}at (?:.*\()?(.+:\d+:\d+)\)?$/.exec(line)?.[1];
}

/** Of a place. */
export function fileOf(place = ''): string {
  return place.replace(/:\d+:\d+$/, '');
}
