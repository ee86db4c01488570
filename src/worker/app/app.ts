/** The two things any app comes down to, and the types that apps import from `tsunicorn`. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AppClosing } from './closing.ts';

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** The Request that a fetch handler gets, plus what servers know beyond the standard. */
export interface FetchRequest extends Request {
  /** The client's address, after trusted proxies; undefined behind a unix socket that names none. */
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

export type App = (
  | { readonly kind: 'handler'; readonly name: string; readonly handle: NodeHandler }
  | { readonly kind: 'server'; readonly name: string; readonly server: Server }
) & {
  /** Of what the module exports. */
  readonly closing?: AppClosing | undefined;
};
