/** What is done to the server and when: the same for the same seed and length. */

const ACTIONS = [
  'hup',
  'kill',
  'stop',
  'more',
  'less',
  'quota',
  'leak',
  'spin',
  'log reader',
  'full disk',
  'descriptors',
] as const;

export interface Step {
  /** Milliseconds after the begin. */
  readonly at: number;
  readonly action: (typeof ACTIONS)[number];
  /** 0 to 1: which worker, or which quota. */
  readonly choice: number;
}

/** Gaps, milliseconds: time for some steps to meet in one reload, and for others to come alone. */
const GAP = { from: 1_000, to: 5_000 };

/** Every action comes once before any comes a second time. */
export function planOf(seed: number, lengthMs: number): Step[] {
  const random = mulberry32(seed);
  const steps: Step[] = [];
  let left: Step['action'][] = [];
  for (let at = GAP.from; at < lengthMs; at += GAP.from + random() * (GAP.to - GAP.from)) {
    if (left.length === 0) left = [...ACTIONS];
    const [action = 'hup'] = left.splice(Math.floor(random() * left.length), 1);
    steps.push({ at, action, choice: random() });
  }
  return steps;
}

/** A small generator with a seed: one 32-bit state, stepped by an odd constant and mixed. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
