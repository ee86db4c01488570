/** Which failure is whose, and whether the server's counters say what the clients counted. */
import type { LogLine } from '../support/server.ts';
import type { Books, Failure } from './clients.ts';

export interface Death {
  readonly pid: number;
  readonly at: number;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The kernel resets a dead worker's connections at once; the client, and the log, may come to it later. */
const LATE_MS = 1_500;
/** A report comes each second; so much more where the CPU is short. */
const REPORT_MS = 1_000 + 500;

export function deathsIn(log: readonly LogLine[]): Death[] {
  return log
    .filter(({ msg }) => msg.startsWith('worker ended: SIGKILL'))
    .map(({ workerPid, time }) => ({ pid: Number(workerPid), at: Date.parse(String(time)) }));
}

/**
 * The failures that nothing accounts for. A request fails with a worker that was killed while it was in hand: the
 * worker's pid is known from the last answer on the connection, and on a new connection any that died then will do.
 * Where it is known the request may also have been sent a moment later, before the client had heard of the death.
 * While descriptors ran out, a new connection may be closed without an answer.
 */
export function unexplained(
  failures: readonly Failure[],
  deaths: readonly Death[],
  bursts: readonly Span[],
): Failure[] {
  return failures.filter(({ pid, from, at, cause }) => {
    if (cause === 'no answer in time' || cause.startsWith('connect')) return true;
    const isKilled = deaths.some(
      (death) => (pid === undefined ? from <= death.at : pid === death.pid) && Math.abs(at - death.at) <= LATE_MS,
    );
    const hasNoDescriptor = pid === undefined && bursts.some((burst) => burst.from <= at && at <= burst.to + LATE_MS);
    return !isKilled && !hasNoDescriptor;
  });
}

/** For each series by how much the counter may differ, and does. Empty where all agree. */
export function differences(books: Books, counted: (labels: string) => number, deaths: readonly Death[]): string[] {
  // What a killed worker answered after its last report is known to nobody else: at most its last moments' answers.
  let untold = 0;
  for (const { pid } of deaths) {
    const times = books.byPid.get(pid) ?? [];
    const last = times.at(-1) ?? 0;
    untold += times.filter((at) => at > last - REPORT_MS).length;
  }
  const wrong: string[] = [];
  let missingInAll = 0;
  for (const [labels, answers] of Object.entries(books.answers)) {
    const missing = answers - counted(labels);
    missingInAll += missing;
    // An answer that was on its way when its client saw a failure is counted by the server alone.
    if (-missing > books.failures.length) {
      wrong.push(`${labels}: the clients have ${answers}, the server ${answers - missing}`);
    }
  }
  if (missingInAll > untold) wrong.push(`the server lacks ${missingInAll} answers, and ${untold} may be untold`);
  return wrong;
}
