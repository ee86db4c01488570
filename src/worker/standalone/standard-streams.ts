/**
 * stdout and stderr of the app, which are pipes more often than not, and shared with other workers. What a pipe has no
 * room for waits in memory.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long an ending process waits for a reader, as for the logs. */
const LAST_FLUSH_MS = 2_000;

/** Returns what waits until the streams have written everything. Streams that the app does not use are not opened. */
export function watchStandardStreams(process: NodeJS.Process): () => Promise<void> {
  const used = new Set<NodeJS.WriteStream>();
  for (const name of ['stdout', 'stderr'] as const) {
    const property = Object.getOwnPropertyDescriptor(process, name);
    if (!property?.get) continue;
    const get = (): NodeJS.WriteStream => {
      const stream: NodeJS.WriteStream = property.get?.call(process);
      if (!used.has(stream)) share(stream);
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

/**
 * What waits is written one by one and not in one piece: only a write of at most PIPE_BUF bytes goes into a pipe whole,
 * whatever other workers write (pipe(7)). And the end of the stream, by end() or by pipeline(), is the end for this
 * worker alone: shutdown(2) of a socket would be the end for all who write to it.
 */
function share(stream: NodeJS.WriteStream): void {
  Object.assign(stream, { _writev: null, _final: (ended: () => void) => ended() });
}
