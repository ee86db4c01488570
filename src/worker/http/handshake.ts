/**
 * Handshakes that the app's `upgrade` or `connect` listener is going to take. What holds for requests holds for them:
 * Node.js hands them over without a response, and takes its own listeners off the socket.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Brake } from '../admission/memory.ts';
import type { Overload } from '../admission/overload.ts';
import { type Refusal, type RequestLimits, refusalOf, refuseHandshake, shedHandshake } from './error-responses.ts';

export interface Handshake {
  readonly request: IncomingMessage;
  /** The socket; where the request has a body, what stands for it until the body is over. */
  readonly stream: Duplex;
  /** Leaves it to the app. */
  readonly take: () => void;
}

export interface HandshakeChecks {
  readonly limits: RequestLimits;
  readonly refused: (why: Refusal) => void;
  readonly overload: Overload | undefined;
  readonly brake: Brake | undefined;
}

/** Refuses it, or leaves it to the app, at once or as soon as there is memory for it. */
export function admit(handshake: Handshake, checks: HandshakeChecks): void {
  if (checks.brake?.holds) wait(handshake, checks.brake, () => decide(handshake, checks));
  else decide(handshake, checks);
}

function decide({ request, stream, take }: Handshake, { limits, refused, overload }: HandshakeChecks): void {
  if (overload?.exceeded) {
    refused('overload');
    return shedHandshake(request, stream);
  }
  const refusal = refusalOf(request, limits);
  if (!refusal) return take();
  refused(refusal.why);
  refuseHandshake(request, stream, refusal.status);
}

/** One whose client has left meanwhile is forgotten. */
function wait({ request, stream }: Handshake, brake: Brake, serve: () => void): void {
  const { socket } = request;
  // Nobody else listens: a reset would be an exception that nobody caught.
  const ignore = (): void => undefined;
  // The end of a connection is only heard of by those who read. What comes before it is the app's.
  const look = (): void => {
    if (socket.readableLength === 0) socket.destroy();
  };
  stream.on('error', ignore);
  socket.on('readable', look);
  brake.wait(() => {
    socket.off('readable', look);
    // In the next tick the stream flows for whoever listens to 'data', as if nobody had listened to 'readable'.
    process.nextTick(() => {
      stream.off('error', ignore);
      if (!socket.destroyed) serve();
    });
  });
}
