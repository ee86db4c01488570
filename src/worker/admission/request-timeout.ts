/** `TSUNICORN_REQUEST_TIMEOUT`: requests whose response does not start in time are answered with 503. */
import type { Connections } from '../http/connections.ts';
import { answerInstead } from '../http/error-responses.ts';

/** A response may be late by this much, or by a quarter of the limit where that is less, before it is noticed. */
const LONGEST_INTERVAL_MS = 1_000;

/** Looks after all connections until the returned function is called. `refused` is called for each such answer. */
export function enforceRequestTimeout(connections: Connections, limitMs: number, refused: () => void): () => void {
  const timer = setInterval(
    () => {
      const now = performance.now();
      for (const { exchanges } of connections) {
        for (const { response, startedAt } of exchanges) {
          if (response.headersSent || now - startedAt < limitMs) continue;
          refused();
          answerInstead(response, 503);
        }
      }
    },
    Math.min(LONGEST_INTERVAL_MS, limitMs / 4),
  );
  return () => clearInterval(timer);
}
