/** The table of workers: one row each, updated in place. */
import type { Status, WorkerStatus } from '../status.ts';
import { element, find, keepTable, say } from './dom.ts';
import { bytes, bytesOf, duration, NONE, number, percent, plural, span } from './format.ts';

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
  { label: 'State', look: 'state', text: ({ state }) => state },
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
    text: ({ residentBytes, heapLimitBytes }) =>
      residentBytes === null ? NONE : bytesOf(residentBytes, heapLimitBytes),
    share: ({ residentBytes, heapLimitBytes }) =>
      residentBytes === null || heapLimitBytes === null ? null : residentBytes / heapLimitBytes,
  },
];

/** From this share on a bar warns. */
const HIGH = 0.85;

interface WorkerRow {
  readonly root: HTMLElement;
  readonly cells: readonly { readonly text: HTMLElement; readonly bar: HTMLElement | undefined }[];
}

export class WorkerTable {
  readonly #body = find('worker-rows');
  readonly #summary = find('workers-summary');
  /** By worker id. */
  readonly #rows = new Map<number, WorkerRow>();

  constructor() {
    keepTable(find('worker-table'));
  }

  show(status: Status): void {
    const { workers } = status;
    for (const [workerId, { root }] of this.#rows) {
      if (workers.some((worker) => worker.workerId === workerId)) continue;
      root.remove();
      this.#rows.delete(workerId);
    }
    for (const [i, worker] of workers.entries()) {
      const row = this.#rows.get(worker.workerId) ?? makeRow(worker);
      this.#rows.set(worker.workerId, row);
      if (this.#body.children[i] !== row.root) this.#body.insertBefore(row.root, this.#body.children[i] ?? null);
      fill(row, worker);
    }
    say(this.#summary, summary(status));
  }
}

function summary({ workers, sizing, cgroup }: Status): string {
  const sum = (key: 'inFlight' | 'connections' | 'residentBytes'): number =>
    workers.reduce((total, worker) => total + (worker[key] ?? 0), 0);
  const ready = workers.filter(({ state }) => state === 'ready' || state === 'leaving').length;
  return [
    `${ready} of ${sizing.target} ready`,
    `${plural(sum('inFlight'), 'request')} in flight`,
    plural(sum('connections'), 'connection'),
    cgroup.memoryUsageBytes === null || sizing.limits.memoryBytes === null
      ? `${bytes(sum('residentBytes'))} resident`
      : `memory ${bytesOf(cgroup.memoryUsageBytes, sizing.limits.memoryBytes)}`,
  ].join(' · ');
}

function makeRow({ slot }: WorkerStatus): WorkerRow {
  const root = element('tr', {}, element('th', { scope: 'row' }, `Slot ${slot}`));
  const cells = COLUMNS.map(({ label, look = 'number', share }) => {
    const text = element('span', { class: 'text' });
    const bar = share && element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span'));
    root.append(element('td', { class: look, 'data-label': label }, text, ...(bar ? [bar] : [])));
    return { text, bar };
  });
  keepTable(root);
  return { root, cells };
}

function fill({ root, cells }: WorkerRow, worker: WorkerStatus): void {
  root.dataset.state = worker.state;
  for (const [i, { text, share }] of COLUMNS.entries()) {
    const cell = cells[i];
    if (!cell) continue;
    say(cell.text, text(worker));
    if (!cell.bar) continue;
    const part = share?.(worker) ?? null;
    cell.bar.hidden = part === null;
    cell.bar.classList.toggle('high', (part ?? 0) >= HIGH);
    cell.bar.style.setProperty('--share', `${(100 * Math.min(1, part ?? 0)).toFixed(1)}%`);
  }
}
