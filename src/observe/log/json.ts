/** The access log in JSON. */
import type { LineFormat, LoggedConnection } from './access-log.ts';
import { ascii, IsoClock } from './line-writer.ts';
import { givenId, type RequestIds, traceIdOf } from './request-headers.ts';

/** What precedes each value, with the quotes on both sides. */
const BEFORE = {
  time: ascii('{"time":"'),
  path: ascii('","path":"'),
  query: ascii('","query":"'),
  protocol: ascii('","protocol":"HTTP/'),
  status: ascii('","status":'),
  bytes: ascii(',"bytes":'),
  duration: ascii(',"duration_ms":'),
  referer: ascii(',"referer":"'),
  userAgent: ascii('","user_agent":"'),
  requestId: ascii('","request_id":"'),
  traceId: ascii('","trace_id":"'),
  error: ascii(',"error":"'),
} as const;
const DECIMAL_POINT = ascii('.');

export function jsonLines(slot: number, ids: RequestIds): LineFormat {
  const clock = new IsoClock();
  const idPrefix = ascii(ids.prefix);
  const end = ascii(`","worker":${slot}}`);
  return {
    request(line, { exchange, seen, client, status, bytes, microseconds }) {
      const { request, url, connection } = exchange;
      const remote = connection.peer.address;
      line.constant(BEFORE.time);
      line.constant(clock.now());
      line.constant(client === remote ? peerPartOf(connection) : peerPart(remote, client));
      line.text(exchange.method, jsonEscape);
      line.constant(BEFORE.path);
      const question = url.indexOf('?');
      if (question < 0) line.text(url, jsonEscape);
      else line.part(url, jsonEscape, 0, question);
      line.constant(BEFORE.query);
      if (question >= 0) line.part(url, jsonEscape, question + 1, url.length);
      line.constant(BEFORE.protocol);
      line.text(request.httpVersion, jsonEscape);
      line.constant(BEFORE.status);
      line.integer(status);
      line.constant(BEFORE.bytes);
      line.integer(bytes);
      line.constant(BEFORE.duration);
      line.integer(Math.floor(microseconds / 1000));
      line.constant(DECIMAL_POINT);
      line.threeDigits(microseconds % 1000);
      line.constant(BEFORE.referer);
      line.text(seen.referer, jsonEscape);
      line.constant(BEFORE.userAgent);
      line.text(seen.userAgent, jsonEscape);
      line.constant(BEFORE.requestId);
      const id = givenId(seen);
      if (id !== '') line.text(id, jsonEscape);
      else {
        line.constant(idPrefix);
        line.hexadecimal(exchange.serial);
      }
      const trace = traceIdOf(seen);
      if (trace !== '') {
        line.constant(BEFORE.traceId);
        line.text(trace, jsonEscape);
      }
      line.constant(end);
    },
    malformed(line, remote, status, error) {
      line.constant(BEFORE.time);
      line.constant(clock.now());
      line.constant(ascii(`","remote":"${remote}","client":"${remote}`));
      line.constant(BEFORE.status);
      line.integer(status);
      line.constant(BEFORE.error);
      line.text(error, jsonEscape);
      line.constant(end);
    },
  };
}

/** Addresses come from the kernel or were validated: nothing to escape. */
function peerPart(remote: string, client: string): Uint8Array {
  return ascii(`","remote":"${remote}","client":"${client}","method":"`);
}

function peerPartOf(connection: LoggedConnection): Uint8Array {
  connection.peerPart ??= peerPart(connection.peer.address, connection.peer.address);
  return connection.peerPart;
}

/** ASCII, so that no request can end the line or the string, whatever a reader takes for a line end. */
export function jsonEscape(unit: number): string {
  if (unit === 0x22) return '\\"';
  if (unit === 0x5c) return '\\\\';
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}
