/** A request's body as a stream that reads from the socket no faster than the app reads. Trailers are dropped. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Aborts `request.signal`, and fails a body that did not come whole. */
export const abortReason = new DOMException('The client closed the connection', 'AbortError');

/**
 * Chunks that may wait in the stream before the socket is paused, each at most the 64 KiB that Node.js reads at once.
 * Pausing and resuming for every chunk made an upload of 1 MB a fifth slower.
 */
const MAX_WAITING_CHUNKS = 2;

/** Undefined if the request has no body, or one that its method gives no meaning (Fetch allows none then). */
export function bodyOf(incoming: IncomingMessage, outgoing: ServerResponse): ReadableStream<Uint8Array> | undefined {
  const { method, headers } = incoming;
  if (method === 'GET' || method === 'HEAD') return undefined;
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return undefined;

  let stop: (() => void) | undefined;
  const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    const onData = (chunk: Uint8Array): void => {
      controller.enqueue(chunk);
      if ((controller.desiredSize ?? 0) <= -MAX_WAITING_CHUNKS) incoming.pause();
    };
    const stopThen = (act: () => void) => (): void => {
      stop?.();
      act();
    };
    const onEnd = stopThen(() => controller.close());
    const onClose = stopThen(() => controller.error(abortReason));
    // The response is complete and the body is not: its rest is in the way of the next request.
    const onFinish = stopThen(() => {
      controller.error(new DOMException('The response is complete, and the rest is not read', 'AbortError'));
      incoming.resume();
    });
    stop = () => {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose);
      outgoing.off('finish', onFinish);
    };
    if (incoming.destroyed) return controller.error(abortReason);
    incoming.on('data', onData).on('end', onEnd).on('close', onClose);
    incoming.once('error', () => {}); // 'close' follows
    outgoing.on('finish', onFinish);
  };
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (stop) incoming.resume();
    else start(controller);
  };
  // Read on all the same: the next request on the connection comes behind the rest.
  const cancel = (): void => {
    stop?.();
    incoming.resume();
  };
  // Reads nothing before the app asks: an app that answers 413 or 401 leaves the body where it is.
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}
