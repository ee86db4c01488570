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
  const begin = (bytes?: number): void => writeHead(response, outgoing, label, bytes);
  const isHead = outgoing.req.method === 'HEAD';
  if (isHead || body === null) {
    begin(isHead || status === 204 || status === 304 ? undefined : 0);
    outgoing.end();
    await body?.cancel();
    return;
  }
  const reader = body.getReader();
  const reading = reader.read();
  const first = await soon(reading);
  const following = first && !first.done ? reader.read() : undefined;
  const isWhole = first?.done || (following && (await soon(following))?.done);
  if (!isWhole) return await stream(reader, following ? [reading, following] : [reading], outgoing, begin);
  const bytes = bytesOf(first?.value ?? '');
  begin(bytes?.byteLength);
  outgoing.end(bytes ?? first?.value); // which throws for what is neither bytes nor text
}

/** A stream may yield text, which goes out as UTF-8, as with @hono/node-server and srvx. */
function bytesOf(chunk: unknown): Uint8Array | undefined {
  if (typeof chunk === 'string') return Buffer.from(chunk);
  return chunk instanceof Uint8Array ? chunk : undefined;
}

/** `bytes`: the length of the body, if known. Throws if `content-length` says otherwise. */
function writeHead(response: Response, outgoing: ServerResponse, label: string, bytes: number | undefined): void {
  const { status, statusText } = response;
  const fields: string[] = [];
  let length: string | undefined;
  // Several Set-Cookie come one by one (Fetch, section 5.1).
  response.headers.forEach((value, name) => {
    if (CONNECTION_FIELDS.has(name) && !(name === 'connection' && value.toLowerCase() === 'close')) return;
    if (name === 'content-length') length = value;
    fields.push(name, value);
  });
  if (bytes !== undefined && length === undefined) fields.push('content-length', String(bytes));
  else if (bytes !== undefined && length !== String(bytes)) {
    throw new TypeError(`${label} returned a Response of ${bytes} bytes, but its content-length is ${length}`);
  }
  // A wrong length would leave the client waiting, or make the rest look like the next response.
  outgoing.strictContentLength = (bytes ?? length) !== undefined && outgoing.req.method !== 'HEAD';
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
  begin: () => void,
): Promise<void> {
  const cancel = (): void => void reader.cancel().catch(() => {});
  if (outgoing.destroyed) return cancel();
  outgoing.once('close', cancel);
  try {
    begin();
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
