/** The table of workers: one row each, updated in place. */
import type { Status, WorkerStatus } from '../status.ts';
import { element, find, say, showEach } from './dom.ts';
import { bytes, bytesOf, duration, NONE, number, percent, plural, span } from './words.ts';

interface Column {
  /** As in page.html. Shown above the value where the screen is too narrow for a table. */
  readonly label: string;
  /** A class in page.css; `number` by default. */
  readonly look?: string;
  readonly text: (worker: WorkerStatus) => string;
  /** 0 to 1: a bar below the text. */
  readonly share?: (worker: WorkerStatus) => number | null;
}

const COLUMNS: readonly Column[] = [
  { label: 'State', look: 'state', text: stateOf },
  { label: 'Worker', text: ({ workerId }) => String(workerId) },
  { label: 'Up', text: ({ seconds }) => span(seconds) },
  { label: 'Pid', text: ({ pid }) => (pid === null ? NONE : String(pid)) },
  { label: 'Restarts', text: ({ restarts }) => number(restarts) },
  { label: 'In flight', text: ({ inFlight }) => number(inFlight) },
  { label: 'Connections', text: ({ connections }) => number(connections) },
  { label: 'Requests', text: ({ requests }) => number(requests) },
  {
    label: 'Loop busy',
    text: ({ eventLoopUtilization }) => percent(eventLoopUtilization),
    share: ({ eventLoopUtilization }) => eventLoopUtilization,
  },
  { label: 'Lag p99', text: ({ eventLoopLag }) => duration(eventLoopLag) },
  {
    label: 'RSS of heap limit',
    look: 'number wide',
    text: ({ residentBytes, heapLimitBytes }) => bytesOf(residentBytes, heapLimitBytes),
    share: ({ residentBytes, heapLimitBytes }) => residentBytes && heapLimitBytes && residentBytes / heapLimitBytes,
  },
];

const HIGH = 0.85;

const serves = ({ state }: WorkerStatus): boolean => state === 'ready' || state === 'leaving';

function stateOf(worker: WorkerStatus): string {
  const state = serves(worker) && !worker.appReady ? 'not ready' : worker.state;
  return worker.leads ? `${state}, leads` : state;
}

export function showWorkers(status: Status): void {
  showEach(find('worker-rows'), status.workers, makeRow, fillRow);
  say(find('workers-summary'), summary(status));
}

function summary({ workers, sizing, cgroup }: Status): string {
  const sum = (key: 'inFlight' | 'connections' | 'residentBytes'): number =>
    workers.reduce((total, worker) => total + (worker[key] ?? 0), 0);
  const ready = workers.filter((worker) => serves(worker) && worker.appReady).length;
  const leader = workers.find(({ leads }) => leads);
  return [
    `${ready} of ${sizing.target} ready`,
    `${plural(sum('inFlight'), 'request')} in flight`,
    plural(sum('connections'), 'connection'),
    ...(leader ? [`slot ${leader.slot} leads`] : []),
    cgroup.memoryUsageBytes === null || sizing.limits.memoryBytes === null
      ? `${bytes(sum('residentBytes'))} resident`
      : `memory ${bytesOf(cgroup.memoryUsageBytes, sizing.limits.memoryBytes)}`,
  ].join(' · ');
}

function makeRow({ slot }: WorkerStatus): HTMLElement {
  const row = element('tr', { role: 'row' }, element('th', { role: 'rowheader', scope: 'row' }, `Slot ${slot}`));
  for (const { label, look = 'number', share } of COLUMNS) {
    const cell = element('td', { role: 'cell', class: look, 'data-label': label }, element('span', { class: 'text' }));
    if (share) cell.append(element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span')));
    row.append(cell);
  }
  return row;
}

function fillRow(row: HTMLElement, worker: WorkerStatus): void {
  row.dataset.state = worker.state;
  const cells = row.querySelectorAll('td');
  for (const [i, { text, share }] of COLUMNS.entries()) {
    const [words, bar] = cells.item(i).querySelectorAll('span');
    if (words) say(words, text(worker));
    if (!bar || !share) continue;
    const part = share(worker);
    bar.hidden = part === null;
    bar.classList.toggle('high', (part ?? 0) >= HIGH);
    bar.style.setProperty('--share', `${(100 * Math.min(1, part ?? 0)).toFixed(1)}%`);
  }
}
