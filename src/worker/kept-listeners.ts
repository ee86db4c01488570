/** Listeners of tsunicorn's own on the process: an app that removes all listeners does not mean these. */

type Event = 'message' | 'disconnect';

export function keepListener(process: NodeJS.Process, event: Event, listener: (...args: never[]) => void): void {
  const add = (): void => void process.on(event as 'message', listener as NodeJS.MessageListener);
  add();
  process.on('removeListener', (name, removed) => {
    if (name === event && removed === listener) add();
  });
}

/** Those of Node.js begin and end to listen to signals, ours put back what was removed. */
const HOOKS: readonly (string | symbol)[] = ['newListener', 'removeListener'];

/** `removeAllListeners()` without a name would take the hooks as well. */
export function keepHooks(process: NodeJS.Process): void {
  const { removeAllListeners } = process;
  process.removeAllListeners = function removeAll(...names: []) {
    if (names.length > 0) return Reflect.apply(removeAllListeners, process, names);
    for (const name of process.eventNames()) {
      if (!HOOKS.includes(name)) Reflect.apply(removeAllListeners, process, [name]);
    }
    return process;
  } as typeof removeAllListeners;
}
