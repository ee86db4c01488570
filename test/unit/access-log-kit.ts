/** An access log whose lines are kept, and what they are made of. */
import assert from 'node:assert/strict';
import { AccessLog, type LineFormat, type LoggedExchange } from '../../src/observe/log/access-log.ts';
import type { LogDestination } from '../../src/observe/log/destination.ts';
import { jsonLines } from '../../src/observe/log/json.ts';
import { RequestIds } from '../../src/observe/log/request-headers.ts';

/** Keeps the blocks that were written. */
export class Blocks implements LogDestination {
  readonly #written: Buffer[] = [];
  readonly calls: string[] = [];
  readonly blockSize: number;

  constructor(blockSize = 4096) {
    this.blockSize = blockSize;
  }

  /** As text, and not before it is asked for: a block must not change once it was handed over. */
  get blocks(): string[] {
    return this.#written.map(String);
  }

  write(bytes: Buffer): void {
    this.#written.push(bytes);
    this.calls.push('write');
  }

  spare(): undefined {}

  flushSync(): void {
    this.calls.push('flushSync');
  }

  reopen(): void {
    this.calls.push('reopen');
  }

  async close(): Promise<void> {
    this.calls.push('close');
  }

  takeDropped(): number {
    return 3;
  }
}

export interface Given {
  readonly method?: string;
  readonly url?: string;
  readonly rawHeaders?: string[];
  readonly remote?: string;
  readonly clientOf?: LoggedExchange['connection']['peer']['clientOf'];
  readonly sentBefore?: number;
  readonly bytesWritten?: number;
  readonly header?: string | null;
  readonly startedAt?: number;
}

export function exchange(given: Given = {}): LoggedExchange {
  const { method = 'GET', url = '/', rawHeaders = [], remote = '127.0.0.1', startedAt = 0, sentBefore = 0 } = given;
  const peer = { address: remote, clientOf: given.clientOf ?? (() => remote) };
  return {
    request: { rawHeaders, httpVersion: '1.1' } as LoggedExchange['request'],
    response: { _header: given.header ?? null } as unknown as LoggedExchange['response'],
    connection: { peer, socket: { bytesWritten: given.bytesWritten ?? 0 }, sent: sentBefore },
    method,
    url,
    serial: 0x2a,
    startedAt,
  };
}

export const json = (slot = 0): LineFormat => jsonLines(slot, new RequestIds());

export async function linesOf(use: (log: AccessLog) => void, format: LineFormat = json(2)): Promise<string[]> {
  const out = new Blocks();
  const log = new AccessLog(out, format);
  use(log);
  await log.close();
  const text = out.blocks.join('');
  assert.match(text, /^[\n -~]*$/, 'ASCII');
  assert.ok(text.endsWith('\n'));
  return text.split('\n').slice(0, -1);
}

export async function recordOf(given: Given, status = 200, now = 0): Promise<Record<string, unknown>> {
  const lines = await linesOf((log) => log.request(exchange(given), status, now));
  assert.equal(lines.length, 1);
  return JSON.parse(lines[0] ?? '');
}
