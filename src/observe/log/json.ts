/** The access log in JSON. */
import type { LineFormat, LoggedConnection } from './access-log.ts';
import { ascii, LogClock } from './line-writer.ts';
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
  const clock = new LogClock(1, (time) => time.toISOString());
  const idPrefix = ascii(ids.prefix);
  const end = ascii(`","worker":${slot}}`);
  return {
    toAscii: jsonEscape,
    request(line, { exchange, seen, client, status, bytes, microseconds }) {
      const { request, method, url, connection, serial } = exchange;
      const remote = connection.peer.address;
      line.constant(BEFORE.time).constant(clock.now());
      line.constant(client === remote ? peerPartOf(connection) : peerPart(remote, client)).text(method);
      const question = url.indexOf('?');
      line.constant(BEFORE.path).text(question < 0 ? url : url.slice(0, question));
      line.constant(BEFORE.query);
      if (question >= 0) line.text(url.slice(question + 1));
      line.constant(BEFORE.protocol).text(request.httpVersion);
      line.constant(BEFORE.status).integer(status);
      line.constant(BEFORE.bytes).integer(bytes);
      line.constant(BEFORE.duration).integer(Math.floor(microseconds / 1000));
      line.constant(DECIMAL_POINT).threeDigits(microseconds % 1000);
      line.constant(BEFORE.referer).text(seen.referer);
      line.constant(BEFORE.userAgent).text(seen.userAgent);
      line.constant(BEFORE.requestId);
      const id = givenId(seen);
      if (id !== '') line.text(id);
      else line.constant(idPrefix).hexadecimal(serial);
      const trace = traceIdOf(seen);
      if (trace !== '') line.constant(BEFORE.traceId).text(trace);
      line.constant(end);
    },
    malformed(line, remote, status, error) {
      line.constant(BEFORE.time).constant(clock.now());
      line.constant(ascii(`","remote":"${remote}","client":"${remote}`));
      line.constant(BEFORE.status).integer(status);
      line.constant(BEFORE.error).text(error).constant(end);
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
