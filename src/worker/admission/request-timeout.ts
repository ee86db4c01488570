/** `TSUNICORN_REQUEST_TIMEOUT`: a request whose response does not start in time gets 503. */
import type { Connections } from '../http/connections.ts';
import { answerInstead } from '../http/error-responses.ts';

/** A late response is noticed within this time, or a quarter of the limit where that is less. */
const LONGEST_INTERVAL_MS = 1_000;

/** Returns what stops it. `limitMs` 0 is off. `refused` is called for each such answer. */
export function enforceRequestTimeout(connections: Connections, limitMs: number, refused: () => void): () => void {
  if (limitMs === 0) return () => {};
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
