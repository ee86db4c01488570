/** V8's full garbage collection, at a moment of one's own choice. It stands still for it: some milliseconds, or more. */
let collect: (() => void) | undefined;

export function collectGarbage(): void {
  if (!collect) {
    const v8 = process.getBuiltinModule('node:v8');
    // The global of this name is not for the app, which some libraries would use.
    v8.setFlagsFromString('--expose-gc');
    collect = process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void;
    v8.setFlagsFromString('--no-expose-gc');
  }
  collect();
}
