/** The app's stdout and stderr: mostly pipes, shared with other workers. What a pipe has no room for waits in memory. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long an ending process waits for a slow reader, as for the logs. */
const LAST_FLUSH_MS = 2_000;

/**
 * Without `_writev`, waiting lines are written one by one: only writes of up to PIPE_BUF bytes stay whole among those of
 * other workers (pipe(7)). And end() ends the stream for this worker only: shutdown(2) of a socket would for all.
 */
const SHARED = { _writev: null, _final: (ended: () => void) => ended() };

/** Returns a function that waits until all is written. Streams that the app does not use are not opened. */
export function watchStandardStreams(process: NodeJS.Process): () => Promise<void> {
  const used = new Set<NodeJS.WriteStream>();
  for (const name of ['stdout', 'stderr'] as const) {
    const property = Object.getOwnPropertyDescriptor(process, name);
    if (!property?.get) continue;
    const get = (): NodeJS.WriteStream => {
      const stream: NodeJS.WriteStream = property.get?.call(process);
      if (!used.has(stream)) Object.assign(stream, SHARED);
      used.add(stream);
      return stream;
    };
    Object.defineProperty(process, name, { ...property, get });
  }
  return async () => {
    const waiting = [...used].filter((stream) => stream.writable && stream.writableLength > 0);
    const written = waiting.map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve())));
    await Promise.race([Promise.all(written), sleep(LAST_FLUSH_MS)]);
  };
}
