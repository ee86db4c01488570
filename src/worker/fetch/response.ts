/** Sends a Response through node:http. */
import type { ServerResponse } from 'node:http';
import { can, isObjectLike } from '../app/form.ts';

/**
 * Turns of the microtask queue in which a body that is in memory is there and at its end: 3 do on Node.js 22, 24 and
 * 26. Such a body is sent with a Content-Length, in one piece.
 */
const TURNS = 4;
/** Fields about the connection, which is not the handler's (RFC 9110, section 7.6.1). Of `connection` only `close` is. */
const OF_THE_CONNECTION = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'trailer',
]);

/** By what it has: the app may bring a Response class of its own. */
export function isResponse(value: unknown): value is Response {
  return (
    isObjectLike(value) &&
    typeof value.status === 'number' &&
    can(value.headers, 'forEach', 'get') &&
    (value.body === null || can(value.body, 'getReader'))
  );
}

/** Resolves when all is handed over. Rejects with what the body's stream failed with; the caller then cuts it off. */
export async function sendResponse(response: Response, outgoing: ServerResponse, label: string): Promise<void> {
  const { body, status } = response;
  if (response.bodyUsed) throw new TypeError(`${label} returned a Response whose body has been read already`);
  const head = headOf(response);
  if (outgoing.req.method === 'HEAD' || body === null) {
    if (body === null && outgoing.req.method !== 'HEAD' && status !== 204 && status !== 304) setLength(head, 0);
    writeHead(outgoing, head);
    outgoing.end();
    await body?.cancel();
    return;
  }
  const reader = body.getReader();
  const reading = reader.read();
  const first = await soon(reading);
  const following = first && !first.done ? reader.read() : undefined;
  const isWhole = first?.done || (following && (await soon(following))?.done);
  if (isWhole) {
    const bytes = first?.value ?? new Uint8Array(0);
    setLength(head, bytes.byteLength);
    if (head.length !== String(bytes.byteLength)) {
      throw new TypeError(
        `${label} returned a Response of ${bytes.byteLength} bytes, and its content-length says ${head.length}`,
      );
    }
    writeHead(outgoing, head);
    outgoing.end(bytes);
    return;
  }
  await stream(reader, following ? [reading, following] : [reading], outgoing, head);
}

interface Head {
  readonly status: number;
  readonly statusText: string;
  readonly fields: string[];
  /** The Content-Length, where there is one. */
  length: string | undefined;
}

function headOf({ status, statusText, headers }: Response): Head {
  const head: Head = { status, statusText, fields: [], length: undefined };
  // Several Set-Cookie come one by one (Fetch, section 5.1).
  headers.forEach((value, name) => {
    if (OF_THE_CONNECTION.has(name) && !(name === 'connection' && value.toLowerCase() === 'close')) return;
    if (name === 'content-length') head.length = value;
    head.fields.push(name, value);
  });
  return head;
}

function setLength(head: Head, length: number): void {
  if (head.length !== undefined) return;
  head.length = String(length);
  head.fields.push('content-length', head.length);
}

function writeHead(outgoing: ServerResponse, { status, statusText, fields, length }: Head): void {
  // A length that is wrong would leave the client waiting, or make the rest the next response.
  outgoing.strictContentLength = length !== undefined && outgoing.req.method !== 'HEAD';
  if (statusText === '') outgoing.writeHead(status, fields);
  else outgoing.writeHead(status, statusText, fields);
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;
type Reading = ReturnType<Reader['read']>;

/** Chunk by chunk, no faster than the client takes them. Ends with the client. `readings` have been asked for already. */
async function stream(reader: Reader, readings: Reading[], outgoing: ServerResponse, head: Head): Promise<void> {
  const cancel = (): void => void reader.cancel().catch(() => {});
  if (outgoing.destroyed) return cancel();
  outgoing.once('close', cancel);
  try {
    writeHead(outgoing, head);
    outgoing.flushHeaders(); // the first chunk may be long in coming, as that of an event stream
    for (;;) {
      const { done, value } = await (readings.shift() ?? reader.read());
      // Gone, or answered by tsunicorn meanwhile: nobody takes what is left.
      if (outgoing.destroyed || outgoing.writableEnded) return cancel();
      if (done) break;
      if (!outgoing.write(value)) await drained(outgoing);
    }
    outgoing.end();
  } catch (error) {
    cancel();
    throw error;
  } finally {
    outgoing.off('close', cancel);
  }
}

/** Resolves when there is room again, or nobody left to write to. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done).off('close', done);
      resolve();
    };
    outgoing.once('drain', done).once('close', done);
  });
}

/** What `promise` settles with within {@link TURNS}; undefined where it takes longer. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < TURNS && !isSettled; turn++) await undefined;
  return isSettled ? await promise : undefined;
}
