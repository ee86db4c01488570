/** V8's full garbage collection, at a moment of one's own choice. The process stands still for it. */

type Gc = (options?: { readonly type: 'major'; readonly flavor: 'last-resort' }) => void;
let gc: Gc | undefined;

function theGc(): Gc {
  if (!gc) {
    const v8 = process.getBuiltinModule('node:v8');
    // The global of this name is not for the app, which some libraries would use.
    v8.setFlagsFromString('--expose-gc');
    gc = process.getBuiltinModule('node:vm').runInNewContext('gc') as Gc;
    v8.setFlagsFromString('--no-expose-gc');
  }
  return gc;
}

/** One collection. What it frees mostly stays with the process, for seconds or for good. */
export function collectGarbage(): void {
  theGc()();
}

/**
 * Collects until nothing more is freed, with compaction, and gives the pages back, as V8 does before it ends a process for
 * want of memory. It takes twice the time (docs/decisions/0010-recycling-and-resizing.md).
 */
export function collectAllGarbage(): void {
  theGc()({ type: 'major', flavor: 'last-resort' });
}
