/** A request's body as a stream that reads no faster than it is read. Trailers are not part of it. */
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * Chunks that may wait in the stream before reading from the socket is paused, each at most the 64 KiB that Node.js
 * reads at once: to pause and resume for every chunk made an upload of 1 MB a fifth slower.
 */
const MAX_WAITING_CHUNKS = 2;

/** Undefined where the request has no body, or one that its method gives no meaning (Fetch allows none then). */
export function bodyOf(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  abortReason: DOMException,
): ReadableStream<Uint8Array> | undefined {
  const { method, headers } = incoming;
  if (method === 'GET' || method === 'HEAD') return undefined;
  if (headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0) return undefined;
  // Nothing is read before it is asked for: an app that answers 413 or 401 leaves the body where it is.
  return new ReadableStream(new BodySource(incoming, outgoing, abortReason), { highWaterMark: 0 });
}

class BodySource {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #abortReason: DOMException;
  #started = false;
  /** Stops listening; what comes then is dropped. */
  #leave = (): void => {};

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, abortReason: DOMException) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#abortReason = abortReason;
  }

  pull(controller: ReadableStreamDefaultController<Uint8Array>): void {
    if (this.#started) this.#incoming.resume();
    else this.#start(controller);
  }

  /** Nobody wants the rest. Read on all the same: the next request on the connection comes behind it. */
  cancel(): void {
    this.#started = true;
    this.#leave();
    this.#incoming.resume();
  }

  #start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#started = true;
    const incoming = this.#incoming;
    const outgoing = this.#outgoing;
    if (incoming.destroyed) return controller.error(this.#abortReason);

    const onData = (chunk: Uint8Array): void => {
      controller.enqueue(chunk);
      if ((controller.desiredSize ?? 0) <= -MAX_WAITING_CHUNKS) incoming.pause();
    };
    const onEnd = (): void => {
      this.#leave();
      controller.close();
    };
    const onClose = (): void => {
      this.#leave();
      controller.error(this.#abortReason);
    };
    // The response is complete and the body is not: what is left of it is in the way of the next request.
    const onFinish = (): void => {
      this.#leave();
      controller.error(new DOMException('The response is complete, and the rest is not read', 'AbortError'));
      incoming.resume();
    };
    this.#leave = () => {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose);
      outgoing.off('finish', onFinish);
    };
    incoming.on('data', onData).on('end', onEnd).on('close', onClose);
    incoming.once('error', () => {}); // 'close' follows
    outgoing.on('finish', onFinish);
  }
}
