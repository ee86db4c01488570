/** What becomes of the requests that the server of a worker refuses, or whose handler fails: a count, and a line. */
import type { IncomingMessage } from 'node:http';
import type { RequestContext } from '../../context-hook.ts';
import type { AccessLog } from '../../observe/log/access-log.ts';
import type { ServerLog } from '../../observe/log/server-log.ts';
import type { Counters } from '../report/counters.ts';
import type { ServerEvents } from './server.ts';

export interface ServerEventsOptions {
  /** Of the app. */
  readonly name: string;
  readonly tally: Counters;
  readonly accessLog: AccessLog | undefined;
  readonly log: ServerLog;
  readonly contextOf: (request: IncomingMessage) => RequestContext;
  readonly upgraded: ServerEvents['upgraded'];
}

export function serverEvents({ name, tally, accessLog, log, contextOf, upgraded }: ServerEventsOptions): ServerEvents {
  let toldOfUpgrade = false;
  return {
    upgraded,
    refused: (why) => tally.rejected(why),
    handshakeRefused: () => {
      tally.rejected('no_websocket');
      if (toldOfUpgrade) return;
      toldOfUpgrade = true;
      log.logger.warn(
        `a WebSocket handshake was answered with 426, or 400 where it was malformed: ${name} has no upgrade listener. Export the http.Server that the listener is on, and not the handler (this is said once a worker)`,
      );
    },
    handlerFailed: (err, request) => {
      const { method, url } = request;
      log.logger.error({ err, ...contextOf(request), method, url }, 'the request handler failed');
    },
    malformed: (socket, status, code) => {
      const remote = socket.remoteAddress ?? '';
      tally.rejected(status === 408 ? 'timeout' : 'malformed');
      accessLog?.malformed(remote, status, code);
      log.logger.info({ remote, status, code }, 'refused a malformed or slow request');
    },
  };
}
