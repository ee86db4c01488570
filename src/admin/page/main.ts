/** The live page: asks for `/status` again and again, and shows what it says and what changed since the last time. */
import type { Status } from '../status.ts';
import { Chart } from './chart.ts';
import { find, say } from './dom.ts';
import { Exits } from './exits.ts';
import { duration, number, percent, span } from './format.ts';
import { append, between, type Point, sameArbiter } from './series.ts';
import { Settings } from './settings.ts';
import { Sizing } from './sizing.ts';
import { changesInWords } from './words.ts';
import { WorkerTable } from './workers.ts';

const INTERVAL_MS = 2_000;
/** The arbiter answers at once, also when every worker is busy; it waits a quarter of a second for their reports. */
const PATIENCE_MS = 4_000;

const CHARTS = [
  new Chart({
    title: 'Requests a second',
    lines: [{ label: 'requests', value: ({ requests }) => requests, look: 'plain' }],
    format: number,
    least: 1,
    absent: 'none counted',
  }),
  new Chart({
    title: 'Time to answer',
    lines: [
      { label: 'p50', value: ({ p50 }) => p50, look: 'plain' },
      { label: 'p99', value: ({ p99 }) => p99, look: 'second' },
    ],
    format: duration,
    least: 0.001,
    absent: 'no requests',
  }),
  new Chart({
    title: 'Errors (5xx) a second',
    lines: [{ label: 'errors', value: ({ errors }) => errors, look: 'bad' }],
    format: number,
    least: 1,
    absent: 'none counted',
  }),
  new Chart({
    title: 'CPU throttled',
    lines: [{ label: 'throttled periods', value: ({ throttled }) => throttled, look: 'warn' }],
    format: percent,
    least: 0.1,
    absent: 'no CPU quota to be throttled by',
  }),
];

const workers = new WorkerTable();
const sizing = new Sizing();
const exits = new Exits();
const settings = new Settings();
const pauseButton = find('pause');

let last: Status | undefined;
let points: Point[] = [];
let silentSince: Date | undefined;
let paused = false;
let timer: number | undefined;
let asking = false;

async function ask(): Promise<void> {
  window.clearTimeout(timer);
  if (asking || paused || document.hidden) return;
  asking = true;
  const from = performance.now();
  try {
    const response = await fetch('status', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(`/status answers ${response.status}`);
    show((await response.json()) as Status);
    spoke();
  } catch (error) {
    fellSilent(error instanceof Error ? error.message : String(error));
  }
  asking = false;
  timer = window.setTimeout(ask, Math.max(0, INTERVAL_MS - (performance.now() - from)));
}

function show(status: Status): void {
  const news: string[] = [];
  if (last !== undefined && !sameArbiter(last, status)) {
    news.push('The server was started anew.');
    points = [];
    exits.forget();
    last = undefined;
  }
  const point = last && between(last, status);
  if (point) points = append(points, point);
  if (last) news.push(...changesInWords(last, status));

  const { readiness, versions, pid, listeners } = status;
  const pill = find('readiness');
  pill.dataset.ready = String(readiness.ready);
  say(pill.children[0] as Element, readiness.ready ? 'Ready' : 'Not ready');
  say(pill.children[1] as Element, readiness.reason);
  say(
    find('facts'),
    [versions.tsunicorn, `Node.js ${versions.node}`, `pid ${pid}`, `up ${span(status.seconds)}`, ...listeners].join(
      ' · ',
    ),
  );
  document.title = `${readiness.ready ? '' : '✕ '}tsunicorn: ${readiness.reason}`;
  for (const chart of CHARTS) chart.show(points);
  workers.show(status);
  sizing.show(status);
  exits.show(status.exits);
  settings.show(status.settings);
  announce(news);
  last = status;
}

function spoke(): void {
  if (silentSince === undefined) return;
  silentSince = undefined;
  find('silence').hidden = true;
  delete document.body.dataset.silent;
  announce(['The server answers again.']);
}

function fellSilent(why: string): void {
  if (silentSince === undefined) {
    silentSince = new Date();
    document.body.dataset.silent = '';
    announce(['The server does not answer.']);
  }
  const bar = find('silence');
  bar.hidden = false;
  const since = silentSince.toLocaleTimeString('en-GB');
  say(
    bar,
    `The server has not answered since ${since} (${why}). What is below is older. Asking again every two seconds.`,
  );
}

function announce(news: readonly string[]): void {
  if (news.length > 0) find('news').textContent = news.join(' ');
}

pauseButton.addEventListener('click', () => {
  paused = !paused;
  pauseButton.setAttribute('aria-pressed', String(paused));
  void ask();
});
document.addEventListener('visibilitychange', () => void ask());

find('charts').append(...CHARTS.map(({ root }) => root));
for (const chart of CHARTS) chart.show(points);
void ask();
