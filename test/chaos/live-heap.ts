/** What lives in the JavaScript heap of a process that was started with --inspect, by the Chrome DevTools Protocol. */
import { waitFor } from '../support/wait.ts';

/** Node.js says where it listens before it runs anything. */
const LISTENING = /Debugger listening on (ws:\S+)/;

/** Bytes, after a full collection. @param stderr of the process, so far */
export async function liveHeapBytes(stderr: () => string): Promise<number> {
  const url = await waitFor('the inspector listens', () => LISTENING.exec(stderr())?.[1] ?? false);
  const socket = new WebSocket(url);
  try {
    await once(socket, 'open');
    await call(socket, 1, 'HeapProfiler.collectGarbage');
    return ((await call(socket, 2, 'Runtime.getHeapUsage')) as { usedSize: number }).usedSize;
  } finally {
    socket.close();
  }
}

async function call(socket: WebSocket, id: number, method: string): Promise<unknown> {
  const answered = once(socket, 'message');
  socket.send(JSON.stringify({ id, method }));
  const answer = JSON.parse((await answered).data);
  if (answer.id !== id || answer.error) throw new Error(`${method}: ${JSON.stringify(answer)}`);
  return answer.result;
}

function once(socket: WebSocket, event: 'open' | 'message'): Promise<MessageEvent> {
  return new Promise((resolve, reject) => {
    socket.addEventListener(event, (e) => resolve(e as MessageEvent), { once: true });
    socket.addEventListener('error', () => reject(new Error(`the inspector: ${event}`)), { once: true });
  });
}
