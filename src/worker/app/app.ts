/** What any app comes down to. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** What any supported export comes down to. `name` is for the log. */
export type App =
  | { readonly kind: 'handler'; readonly name: string; readonly handle: NodeHandler }
  | { readonly kind: 'server'; readonly name: string; readonly server: Server };
