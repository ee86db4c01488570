/** Sends a Response through node:http. */
import type { ServerResponse } from 'node:http';

/**
 * Turns of the microtask queue within which a body in memory has come to its end (3 on Node.js 22, 24 and 26). It is
 * then sent in one piece, with a Content-Length.
 */
const TURNS = 4;
/** Fields of the connection, which is not the handler's (RFC 9110, section 7.6.1), except for `connection: close`. */
const CONNECTION_FIELDS = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'trailer',
]);

/** Resolves once all is handed over. Rejects if the body's stream fails; the caller then cuts the connection. */
export async function sendResponse(response: Response, outgoing: ServerResponse, label: string): Promise<void> {
  const { body, status } = response;
  if (response.bodyUsed) throw new TypeError(`${label} returned a Response whose body was already read`);
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
        `${label} returned a Response of ${bytes.byteLength} bytes, but its content-length is ${head.length}`,
      );
    }
    writeHead(outgoing, head);
    outgoing.end(bytes);
    return;
  }
  await stream(reader, following ? [reading, following] : [reading], outgoing, head);
}

interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  readonly fields: string[];
  /** The Content-Length, if there is one. */
  length: string | undefined;
}

function headOf({ status, statusText, headers }: Response): ResponseHead {
  const head: ResponseHead = { status, statusText, fields: [], length: undefined };
  // Several Set-Cookie come one by one (Fetch, section 5.1).
  headers.forEach((value, name) => {
    if (CONNECTION_FIELDS.has(name) && !(name === 'connection' && value.toLowerCase() === 'close')) return;
    if (name === 'content-length') head.length = value;
    head.fields.push(name, value);
  });
  return head;
}

function setLength(head: ResponseHead, length: number): void {
  if (head.length !== undefined) return;
  head.length = String(length);
  head.fields.push('content-length', head.length);
}

function writeHead(outgoing: ServerResponse, { status, statusText, fields, length }: ResponseHead): void {
  // A wrong length would leave the client waiting, or make the rest look like the next response.
  outgoing.strictContentLength = length !== undefined && outgoing.req.method !== 'HEAD';
  if (statusText === '') outgoing.writeHead(status, fields);
  else outgoing.writeHead(status, statusText, fields);
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;
type ChunkRead = ReturnType<Reader['read']>;

/** Chunk by chunk, no faster than the client reads, until it leaves. `readings` are under way already. */
async function stream(
  reader: Reader,
  readings: ChunkRead[],
  outgoing: ServerResponse,
  head: ResponseHead,
): Promise<void> {
  const cancel = (): void => void reader.cancel().catch(() => {});
  if (outgoing.destroyed) return cancel();
  outgoing.once('close', cancel);
  try {
    writeHead(outgoing, head);
    outgoing.flushHeaders(); // the first chunk may take long, as in an event stream
    for (;;) {
      const { done, value } = await (readings.shift() ?? reader.read());
      // The client left, or tsunicorn answered meanwhile.
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

/** Resolves when there is room again or the client has left. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done).off('close', done);
      resolve();
    };
    outgoing.once('drain', done).once('close', done);
  });
}

/** What `promise` settles with within {@link TURNS}; undefined if it takes longer. */
async function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < TURNS && !isSettled; turn++) await undefined;
  return isSettled ? await promise : undefined;
}
