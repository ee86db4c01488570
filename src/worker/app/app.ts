/** What any app comes down to. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** The Request that a fetch handler gets, with what servers know beyond the standard. */
export interface FetchRequest extends Request {
  /** The client's address, after trusted proxies; undefined where a unix socket hides it. */
  readonly ip: string | undefined;
}

/** The second argument of a fetch handler. */
export interface FetchInfo {
  /** As `request.ip`. */
  readonly remoteAddress: string | undefined;
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

export type FetchHandler = (request: FetchRequest, info: FetchInfo) => Response | Promise<Response>;

/** What any supported export comes down to. `name` is for the log. */
export type App =
  | { readonly kind: 'handler'; readonly name: string; readonly handle: NodeHandler }
  | { readonly kind: 'server'; readonly name: string; readonly server: Server };
