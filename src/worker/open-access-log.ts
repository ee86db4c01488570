/** The access log of a worker, with the destination and the lines that the settings ask for. */
import type { WorkerPlan } from '../messages.ts';
import { AccessLog } from '../observe/access-log.ts';
import { openDestination } from '../observe/destination.ts';
import { jsonLines } from '../observe/json-line.ts';
import type { ServerLog } from '../observe/log.ts';
import type { RequestIds } from '../observe/request-id.ts';
import { textLines } from '../observe/text-line.ts';
import { forwardedClient } from './forwarded.ts';

/** Undefined where there is to be none. Throws HaltServer where it cannot be opened at the start of the server. */
export function openAccessLog(plan: WorkerPlan, ids: RequestIds, log: ServerLog): AccessLog | undefined {
  const { settings, slot, started } = plan;
  const { accessLog, accessLogFormat: format, forwardedAllowIps } = settings;
  if (accessLog === 'off') return undefined;
  const lines = format.kind === 'json' ? jsonLines(slot, ids) : textLines(format.pieces, process);
  const destination = openDestination(accessLog, 1, started ? log.complain : undefined);
  return new AccessLog(destination, lines, forwardedClient(forwardedAllowIps));
}
