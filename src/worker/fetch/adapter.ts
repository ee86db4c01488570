/**
 * Serves a fetch handler behind node:http. Written here, since the libraries measured no better where it counts and
 * give no genuine Request (docs/decisions/0006-fetch-adapter.md).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FetchHandler, FetchInfo, NodeHandler } from '../app/app.ts';
import { isThenable } from '../app/form.ts';
import { answerInstead } from '../http/error-responses.ts';
import { abortReason, ServedRequest } from './request.ts';
import { isResponse, sendResponse } from './response.ts';

/** `label` is the app's name in messages. What the handler or its stream throws rejects, as with a node handler. */
export function adaptFetch(fetch: FetchHandler, label: string): NodeHandler {
  return async (incoming, outgoing) => {
    const request = requestOf(incoming, outgoing);
    if (typeof request === 'number') return answerInstead(outgoing, request);
    try {
      const result: unknown = fetch(request, new Info(request, incoming, outgoing));
      const response = isThenable(result) ? await result : result;
      if (outgoing.headersSent) return; // through `info.outgoing`, or tsunicorn in its place
      if (!isResponse(response)) throw new TypeError(`${label} returned ${nameOf(response)} and no Response`);
      await sendResponse(response, outgoing, label);
    } catch (error) {
      // The client went away, or was answered by tsunicorn, and what the handler did for it was aborted: nothing failed.
      if ((outgoing.destroyed || outgoing.writableEnded) && isAbort(error)) return;
      throw error;
    }
  };
}

class Info implements FetchInfo {
  readonly #request: ServedRequest;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;

  constructor(request: ServedRequest, incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#request = request;
    this.incoming = incoming;
    this.outgoing = outgoing;
  }

  get remoteAddress(): string | undefined {
    return this.#request.ip;
  }
}

/** The Request, or the status that `incoming` earns because it cannot be one. */
function requestOf(incoming: IncomingMessage, outgoing: ServerResponse): ServedRequest | number {
  // Requests of these methods cannot be made (Fetch, section 2.2.1); RFC 9110, section 9.1 has the status.
  if (incoming.method === 'TRACE' || incoming.method === 'CONNECT') return 501;
  return ServedRequest.of(incoming, outgoing) ?? 400;
}

function isAbort(error: unknown): boolean {
  return error === abortReason || (error instanceof Error && error.name === 'AbortError');
}

function nameOf(value: unknown): string {
  if (value === null || typeof value !== 'object') return typeof value === 'function' ? 'a function' : String(value);
  return `an object with ${Object.keys(value).join(', ') || 'nothing in it'}`;
}
