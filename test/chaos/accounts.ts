/** Which failure is whose, and whether the server's counters say what the clients counted. */
import type { LogLine } from '../support/server.ts';
import type { Failure, Results } from './clients.ts';

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
 * The failures that nothing accounts for. A request fails with a worker that was killed while it was in flight: the
 * worker's pid is known from the last answer on the connection, and on a new connection any that died then will do.
 * Where it is known the request may also have been sent a moment later, before the client knew of the death.
 * While descriptors ran out, a new connection may be closed without an answer; by a worker that was stopped meanwhile as
 * soon as it goes on.
 */
export function unexplained(
  failures: readonly Failure[],
  deaths: readonly Death[],
  bursts: readonly Span[],
  stops: readonly Span[],
): Failure[] {
  const times = bursts.map((burst) => {
    const ends = stops.filter(({ from, to }) => from <= burst.to && to >= burst.from).map(({ to }) => to);
    return { from: burst.from, to: Math.max(burst.to, ...ends) + LATE_MS };
  });
  return failures.filter((failure) => {
    const { pid, at, cause } = failure;
    if (cause === 'no answer in time' || cause.startsWith('connect')) return true;
    const hasNoDescriptor = pid === undefined && times.some(({ from, to }) => from <= at && at <= to);
    return !isOfKilled(failure, deaths) && !hasNoDescriptor;
  });
}

function isOfKilled({ pid, from, at }: Failure, deaths: readonly Death[]): boolean {
  return deaths.some(
    (death) => (pid === undefined ? from <= death.at : pid === death.pid) && Math.abs(at - death.at) <= LATE_MS,
  );
}

export interface Comparison {
  /** Method and code, as the label values of the metric. */
  readonly labels: string;
  readonly clients: number;
  readonly server: number;
  /** What killed workers answered after their last report is known to no other process: at most their last moments' answers. */
  readonly mayLack: number;
  /** What a worker had answered when it was killed, and its client saw as a failure, is counted by the server alone. */
  readonly mayExceed: number;
  readonly agrees: boolean;
}

/** Each series by itself: what one has too many does not make up for what another lacks. */
export function compare(
  results: Results,
  counted: Readonly<Record<string, number>>,
  deaths: readonly Death[],
): Comparison[] {
  const untold = untoldBy(results, deaths);
  const cut = results.failures.filter((failure) => isOfKilled(failure, deaths));
  const all = new Set([...Object.keys(results.answers), ...Object.keys(counted)]);
  return [...all].toSorted().map((labels) => {
    const clients = results.answers[labels] ?? 0;
    const server = counted[labels] ?? 0;
    const mayLack = untold.get(labels) ?? 0;
    const mayExceed = cut.filter(({ method }) => labels.startsWith(`method="${method}"`)).length;
    const agrees = server >= clients - mayLack && server <= clients + mayExceed;
    return { labels, clients, server, mayLack, mayExceed, agrees };
  });
}

/** What the server has answered, by method and code. */
export function answersIn(series: Readonly<Record<string, number>>): Record<string, number> {
  const found = Object.entries(series).flatMap(([name, value]) => {
    const labels = /^tsunicorn_http_requests_total\{(.*)\}$/.exec(name)?.[1];
    return labels === undefined ? [] : [[labels, value] as const];
  });
  return Object.fromEntries(found);
}

export function inWords({ labels, clients, server, mayLack, mayExceed }: Comparison): string {
  return `${labels}: clients ${clients}, /metrics ${server}, which may lack ${mayLack} and exceed by ${mayExceed}`;
}

function untoldBy(results: Results, deaths: readonly Death[]): Map<string, number> {
  const untold = new Map<string, number>();
  for (const { pid } of deaths) {
    const answers = results.byPid.get(pid) ?? [];
    const last = answers.at(-1)?.at ?? 0;
    for (const { at, labels } of answers) {
      if (at > last - REPORT_MS) untold.set(labels, (untold.get(labels) ?? 0) + 1);
    }
  }
  return untold;
}

export interface LogBooks {
  /** Requests that failed, by the answers that their clients got. */
  readonly throws: number;
  /** Lines about them that the reader of the log got. */
  readonly read: number;
  /** Lines that all logs dropped, by /metrics. */
  readonly dropped: number;
}

/** What is wrong with them, as a reader of the log had stopped, or its disk been full, or not. */
export function linesAmiss({ throws, read, dropped }: LogBooks, reader: boolean, disk: boolean): string[] {
  const wrong: string[] = [];
  if (reader && read >= throws) wrong.push(`the log reader that stopped has missed none of ${throws} lines`);
  if ((reader || disk) && dropped === 0) wrong.push('no line was dropped, or none was counted');
  if (!reader && !disk && dropped > 0) wrong.push(`${dropped} lines were dropped for no reason`);
  return wrong;
}
