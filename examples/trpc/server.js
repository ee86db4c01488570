import { setTimeout as sleep } from 'node:timers/promises';
import { initTRPC } from '@trpc/server';
import { createHTTPServer } from '@trpc/server/adapters/standalone';
import { octetInputParser } from '@trpc/server/http';

const t = initTRPC.create();

/** A parser is any function that returns the input or throws. */
function milliseconds(input) {
  const ms = Number(input ?? 1_000);
  if (!(ms >= 0 && ms <= 60_000)) throw new Error('ms must be between 0 and 60000');
  return ms;
}

export const router = t.router({
  hello: t.procedure.query(() => ({ hello: 'world', pid: process.pid })),

  slow: t.procedure.input(milliseconds).query(async ({ input }) => {
    await sleep(input);
    return { waited: input, pid: process.pid };
  }),

  // A subscription is a stream of server-sent events.
  events: t.procedure.subscription(async function* ({ signal }) {
    for (let n = 1; n <= 5 && !signal?.aborted; n++) {
      yield { n, at: Date.now() };
      await sleep(200);
    }
  }),

  upload: t.procedure.input(octetInputParser).mutation(async ({ input }) => {
    let bytes = 0;
    for await (const chunk of input) bytes += chunk.length;
    return { bytes };
  }),

  // tRPC answers 500 with INTERNAL_SERVER_ERROR.
  error: t.procedure.query(() => {
    throw new Error('thrown in a procedure');
  }),
});

// No server.listen().
export const server = createHTTPServer({ router });
