/** The access log of a worker, with the destination and the lines that the settings ask for. */
import type { WorkerPlan } from '../messages.ts';
import { AccessLog } from '../observe/log/access-log.ts';
import { Destination } from '../observe/log/destination.ts';
import { jsonLines } from '../observe/log/json.ts';
import type { RequestIds } from '../observe/log/request-headers.ts';
import type { ServerLog } from '../observe/log/server-log.ts';
import { textLines } from '../observe/log/text.ts';
import { forwardedClient } from './http/forwarded.ts';

/** Undefined where there is to be none. Throws HaltServer where it cannot be opened at the start of the server. */
export function openAccessLog(plan: WorkerPlan, ids: RequestIds, log: ServerLog): AccessLog | undefined {
  const { settings, slot, started } = plan;
  const { accessLog, accessLogFormat: format, forwardedAllowIps } = settings;
  if (accessLog === 'off') return undefined;
  const lines = format.kind === 'json' ? jsonLines(slot, ids) : textLines(format.pieces, process);
  const destination = new Destination(accessLog, 1, started ? log.complain : undefined);
  return new AccessLog(destination, lines, forwardedClient(forwardedAllowIps));
}
