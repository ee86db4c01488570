/** The Request of a fetch handler, made from what node:http parsed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FetchRequest } from '../app/app.ts';
import { peerOf } from '../http/connections.ts';
import type { OriginHeaders } from '../http/peer.ts';
import { abortReason, bodyOf } from './body.ts';

/** A host and a port, and nothing that would start another part of the URL (RFC 3986, section 3.2). */
const HOST = /^(?:(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+|\[[\da-f:.]+\])(?::\d*)?$/i;
/** For HTTP/1.0 requests, which may have no Host. */
const NO_HOST = 'localhost';

/** TypeScript declares these two as properties, which neither a getter nor a method may override. */
const NativeRequest: new (url: string, init: RequestInit) => Omit<Request, 'signal' | 'clone'> = Request;

/**
 * A genuine Request: `fetch(request)` and `new Request(request)` take it. Its signal costs twice as much as all the rest
 * and is made on demand, so those two do not follow it unless they are given it.
 */
export class ServedRequest extends NativeRequest implements FetchRequest {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly ip: string | undefined;
  #signal: AbortSignal | undefined;

  /** Undefined if no URL can be made from the target and host: 400. */
  static of(incoming: IncomingMessage, outgoing: ServerResponse): ServedRequest | undefined {
    const head = headOf(incoming.rawHeaders);
    const { client, scheme, host } = peerOf(incoming.socket).originOf(head);
    const ownScheme = 'encrypted' in incoming.socket ? 'https' : 'http';
    const url = urlOf(incoming.url ?? '', scheme ?? ownScheme, host ?? (head.host || NO_HOST));
    if (url === undefined) return undefined;
    const init: RequestInit = { method: incoming.method ?? 'GET', headers: head.headers };
    const body = bodyOf(incoming, outgoing);
    if (body) Object.assign(init, { body, duplex: 'half' });
    return new ServedRequest(url, init, incoming, outgoing, client);
  }

  private constructor(url: string, init: RequestInit, incoming: IncomingMessage, outgoing: ServerResponse, ip: string) {
    super(url, init);
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.ip = ip || undefined;
  }

  /** Where srvx, and so H3, keeps the Node.js objects. */
  get runtime(): { name: 'node'; node: { req: IncomingMessage; res: ServerResponse } } {
    return { name: 'node', node: { req: this.#incoming, res: this.#outgoing } };
  }

  get signal(): AbortSignal {
    this.#signal ??= closeSignal(this.#outgoing);
    return this.#signal;
  }

  clone(): Request {
    return Object.defineProperty(Request.prototype.clone.call(this), 'signal', { get: () => this.signal });
  }
}

/** Aborted if the client leaves before the response is complete. */
function closeSignal(outgoing: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    if (!outgoing.writableFinished) controller.abort(abortReason);
  };
  if (outgoing.destroyed) abort();
  else outgoing.once('close', abort);
  return controller.signal;
}

/** Undefined if it would not be a valid URL, or would have another host than the one given. */
function urlOf(target: string, scheme: string, host: string): string | undefined {
  // A client that takes us for its proxy; its target counts more than its Host (RFC 9112, section 3.2.2).
  if (/^https?:\/\//i.test(target) && !/^[^/]*\/\/[^/?#]*@/.test(target)) {
    return URL.canParse(target) ? target : undefined;
  }
  const path = target === '*' ? '/*' : target; // OPTIONS for the whole server, which has no URL of its own
  const url = `${scheme}://${host}${path}`;
  return path.startsWith('/') && HOST.test(host) && URL.canParse(url) ? url : undefined;
}

/** All headers, and those that decide the URL, in one pass. */
function headOf(rawHeaders: readonly string[]) {
  const head = {
    headers: [] as [string, string][],
    host: '',
    forwardedFor: '',
    forwarded: '',
    forwardedProto: '',
    forwardedHost: '',
  };
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    const value = rawHeaders[i + 1] as string;
    head.headers.push([name, value]);
    const field = FIELDS.get(name.toLowerCase());
    if (field === undefined) continue;
    if (field === 'host') head.host ||= value;
    else head[field] += head[field] === '' ? value : `, ${value}`;
  }
  return head;
}

const FIELDS = new Map<string, 'host' | keyof OriginHeaders>([
  ['host', 'host'],
  ['forwarded', 'forwarded'],
  ['x-forwarded-for', 'forwardedFor'],
  ['x-forwarded-proto', 'forwardedProto'],
  ['x-forwarded-host', 'forwardedHost'],
]);
