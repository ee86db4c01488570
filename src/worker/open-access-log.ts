/** The access log of a worker, with the destination and the lines that the settings ask for. */
import type { WorkerPlan } from '../messages.ts';
import { AccessLog } from '../observe/access-log.ts';
import { openDestination } from '../observe/destination.ts';
import { jsonLines } from '../observe/json-line.ts';
import type { RequestIds } from '../observe/request-id.ts';
import { textLines } from '../observe/text-line.ts';
import { forwardedClient } from './forwarded.ts';

/** Undefined where there is to be none. */
export function openAccessLog({ settings, slot }: WorkerPlan, ids: RequestIds): AccessLog | undefined {
  const { accessLog, accessLogFormat: format, forwardedAllowIps } = settings;
  if (accessLog === 'off') return undefined;
  const lines = format.kind === 'json' ? jsonLines(slot, ids) : textLines(format.pieces, process);
  return new AccessLog(openDestination(accessLog, 1), lines, forwardedClient(forwardedAllowIps));
}
