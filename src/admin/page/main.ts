/** The live page: polls `/status`, shows it, and announces what has changed. */
import type { Status } from '../status.ts';
import { Chart } from './chart.ts';
import { find, say } from './dom.ts';
import { showExits, showSettings, showSizing } from './panels.ts';
import { append, between, type Point, sameArbiter } from './series.ts';
import { changesInWords, duration, number, percent, span } from './words.ts';
import { showWorkers } from './workers.ts';

const INTERVAL_MS = 2_000;
/** The arbiter answers within 250 ms, even when every worker is busy. */
const TIMEOUT_MS = 4_000;

const perSecond = { format: number, least: 1, absent: 'none counted' };
const CHARTS = [
  new Chart({ ...perSecond, title: 'Requests a second', lines: { requests: 'plain' } }),
  new Chart({
    title: 'Time to answer',
    lines: { p50: 'plain', p99: 'second' },
    format: duration,
    least: 0.001,
    absent: 'no requests',
  }),
  new Chart({ ...perSecond, title: 'Errors (5xx) a second', lines: { errors: 'bad' } }),
  new Chart({
    title: 'CPU throttled',
    lines: { throttled: 'warn' },
    format: percent,
    least: 0.1,
    absent: 'no CPU quota to be throttled by',
  }),
];

let last: Status | undefined;
let points: Point[] = [];
let silentSince = new Date();
let paused = false;
let timer: number | undefined;
let polling = false;

async function poll(): Promise<void> {
  window.clearTimeout(timer);
  if (polling || paused || document.hidden) return;
  polling = true;
  const from = performance.now();
  try {
    const response = await fetch('status', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) throw new Error(`/status answers ${response.status}`);
    show((await response.json()) as Status);
    answered();
  } catch (error) {
    failed(error instanceof Error ? error.message : String(error));
  }
  polling = false;
  timer = window.setTimeout(poll, Math.max(0, INTERVAL_MS - (performance.now() - from)));
}

function show(status: Status): void {
  const changes: string[] = [];
  if (last !== undefined && !sameArbiter(last, status)) {
    changes.push('The server has restarted.');
    points = [];
    // Its worker ids start again at 1.
    for (const id of ['worker-rows', 'exits']) find(id).replaceChildren();
    last = undefined;
  }
  const point = last && between(last, status);
  if (point) points = append(points, point);
  if (last) changes.push(...changesInWords(last, status));

  const { readiness, versions, pid, listeners } = status;
  const pill = find('readiness');
  pill.dataset.ready = String(readiness.ready);
  say(pill.children[0] as Element, readiness.ready ? 'Ready' : 'Not ready');
  say(pill.children[1] as Element, readiness.reason);
  const facts = [versions.tsunicorn, `Node.js ${versions.node}`, `pid ${pid}`, `up ${span(status.seconds)}`];
  say(find('facts'), [...facts, ...listeners].join(' · '));
  document.title = `${readiness.ready ? '' : '✕ '}tsunicorn: ${readiness.reason}`;
  for (const chart of CHARTS) chart.show(points);
  showWorkers(status);
  showExits(status.exits);
  // What has not changed is left alone, so that a selection in it survives.
  const changed = (key: 'settings' | 'sizing') => JSON.stringify(last?.[key]) !== JSON.stringify(status[key]);
  if (changed('settings')) showSettings(status.settings);
  if (changed('settings') || changed('sizing')) showSizing(status);
  announce(changes);
  last = status;
}

function answered(): void {
  if (find('silence').hidden) return;
  find('silence').hidden = true;
  announce(['The server answers again.']);
}

function failed(why: string): void {
  if (find('silence').hidden) {
    silentSince = new Date();
    announce(['The server does not answer.']);
  }
  find('silence').hidden = false;
  const what = `The server has not answered since ${silentSince.toLocaleTimeString('en-GB')} (${why})`;
  say(find('silence'), `${what}. The values below are old. Retrying every two seconds.`);
}

function announce(changes: readonly string[]): void {
  if (changes.length > 0) find('changes').textContent = changes.join(' ');
}

find('pause').addEventListener('click', () => {
  paused = !paused;
  find('pause').setAttribute('aria-pressed', String(paused));
  void poll();
});
document.addEventListener('visibilitychange', () => void poll());

// Some browsers drop the roles of tables where CSS lays rows out as cards.
const roles = { table: 'table', thead: 'rowgroup', tbody: 'rowgroup', tr: 'row', th: 'columnheader' };
for (const [tag, role] of Object.entries(roles)) {
  for (const part of document.querySelectorAll(tag)) part.setAttribute('role', role);
}
find('charts').append(...CHARTS.map(({ root }) => root));
for (const chart of CHARTS) chart.show(points);
void poll();
