/**
 * The other end of an accepted connection, learnt once, at accept. Later it is too late: Node.js emits requests whose
 * client has reset the connection, and such a socket has no address any more. The access log, trust in forwarding
 * headers and the fetch adapter all ask this object.
 */
import type { Socket } from 'node:net';
import {
  type ForwardedOrigin,
  type ForwardingHeaders,
  forwardedClient,
  forwardedOrigin,
  type OriginHeaders,
  type Trust,
} from './forwarded.ts';

const PEER = Symbol('tsunicorn.peer');

type PeerSocket = Socket & { [PEER]?: Peer };

export class Peer {
  readonly kind: 'tcp' | 'unix';
  /** Empty for a unix socket. */
  readonly address: string;
  readonly port: number | undefined;
  /** Which proxies may speak for others. */
  readonly trusts: Trust;
  readonly #socket: Socket | undefined;
  #trusted: boolean | undefined;

  constructor(kind: 'tcp' | 'unix', address: string, trusts: Trust, socket?: Socket) {
    this.kind = kind;
    this.address = address;
    this.port = socket?.remotePort;
    this.trusts = trusts;
    this.#socket = socket;
  }

  /**
   * Names the peer of a socket that was just accepted. `kind` is the listener's. Undefined for a TCP client that has
   * reset the connection already: close the socket, since its requests would have no sender.
   */
  static of(socket: PeerSocket, kind: 'tcp' | 'unix', trusts: Trust): Peer | undefined {
    const address = kind === 'unix' ? '' : socket.remoteAddress;
    if (address === undefined) return undefined;
    const peer = new Peer(kind, address, trusts, socket);
    socket[PEER] = peer;
    return peer;
  }

  /** Whether its forwarding headers are believed (`TSUNICORN_FORWARDED_ALLOW_IPS`). Evaluated once. */
  get trusted(): boolean {
    this.#trusted ??= this.kind === 'unix' || this.trusts(this.address);
    return this.#trusted;
  }

  /** The client's address, behind trusted proxies; empty where a unix socket hides it. */
  clientOf(headers: ForwardingHeaders): string {
    return forwardedClient(this, headers);
  }

  originOf(headers: OriginHeaders): ForwardedOrigin {
    return forwardedOrigin(this, headers);
  }

  get localAddress(): string | undefined {
    return this.#socket?.localAddress;
  }
}

/** The peer of an accepted socket. A socket that the app itself handed to node:http is never trusted. */
export function peerOf(socket: PeerSocket): Peer {
  return socket[PEER] ?? new Peer('tcp', socket.remoteAddress ?? '', () => false, socket);
}
