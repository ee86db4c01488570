/**
 * Serves a fetch handler behind node:http. Our own, since libraries were no faster where it counts and give no genuine
 * Request (docs/decisions/0006-fetch-adapter.md).
 */
import type { FetchHandler, NodeHandler } from '../app/app.ts';
import { describe, isResponse, isThenable } from '../app/duck-typing.ts';
import { answerInstead } from '../http/error-responses.ts';
import { abortReason } from './body.ts';
import { ServedRequest } from './request.ts';
import { sendResponse } from './response.ts';

/** `label` is the app's name in messages. Rejects with what the handler or its stream throws, as a node handler would. */
export function adaptFetch(fetch: FetchHandler, label: string): NodeHandler {
  return async (incoming, outgoing) => {
    // There are no Requests with these methods (Fetch, section 2.2.1); RFC 9110, section 9.1 has the status.
    if (incoming.method === 'TRACE' || incoming.method === 'CONNECT') return answerInstead(outgoing, 501);
    const request = ServedRequest.of(incoming, outgoing);
    if (request === undefined) return answerInstead(outgoing, 400);
    try {
      const result: unknown = fetch(request, { remoteAddress: request.ip, incoming, outgoing });
      const response = isThenable(result) ? await result : result;
      if (outgoing.headersSent) return; // through `info.outgoing`, or by tsunicorn
      if (!isResponse(response)) throw new TypeError(`${label} returned ${describe(response)}, not a Response`);
      await sendResponse(response, outgoing, label);
    } catch (error) {
      // The client left or has its answer, and the handler's work for it was aborted: nothing failed.
      const isAbort = error === abortReason || (error instanceof Error && error.name === 'AbortError');
      if (isAbort && (outgoing.destroyed || outgoing.writableEnded)) return;
      throw error;
    }
  };
}
