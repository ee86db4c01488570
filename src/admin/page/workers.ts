/** The table of workers: a row a worker, whose cells change in place. */
import type { Status, WorkerStatus } from '../status.ts';
import { element, find, keepTable, say } from './dom.ts';
import { bytes, bytesOf, duration, NONE, number, percent, plural, span } from './format.ts';

interface Column {
  /** As in page.html; shown beside the value where the screen is too narrow for a table. */
  readonly label: string;
  readonly look: string;
  readonly text: (worker: WorkerStatus) => string;
  /** 0 to 1: a bar below the text. */
  readonly share?: (worker: WorkerStatus) => number | null;
}

const COLUMNS: readonly Column[] = [
  { label: 'State', look: 'state', text: ({ state }) => state },
  { label: 'Worker', look: 'number', text: ({ workerId }) => String(workerId) },
  { label: 'Up', look: 'number', text: ({ seconds }) => span(seconds) },
  { label: 'Pid', look: 'number', text: ({ pid }) => (pid === null ? NONE : String(pid)) },
  { label: 'Restarts', look: 'number', text: ({ restarts }) => number(restarts) },
  { label: 'In flight', look: 'number', text: ({ inFlight }) => number(inFlight) },
  { label: 'Connections', look: 'number', text: ({ connections }) => number(connections) },
  { label: 'Requests', look: 'number', text: ({ requests }) => number(requests) },
  {
    label: 'Loop busy',
    look: 'number',
    text: ({ eventLoopUtilization }) => percent(eventLoopUtilization),
    share: ({ eventLoopUtilization }) => eventLoopUtilization,
  },
  { label: 'Lag p99', look: 'number', text: ({ eventLoopLag }) => duration(eventLoopLag) },
  {
    label: 'RSS of heap limit',
    look: 'number wide',
    text: ({ residentBytes, heapLimitBytes }) =>
      residentBytes === null ? NONE : bytesOf(residentBytes, heapLimitBytes),
    share: ({ residentBytes, heapLimitBytes }) =>
      residentBytes === null || heapLimitBytes === null ? null : residentBytes / heapLimitBytes,
  },
];

/** From here on a bar warns: little is left. */
const HIGH = 0.85;

interface Row {
  readonly root: HTMLElement;
  readonly cells: readonly { readonly text: HTMLElement; readonly bar: HTMLElement | undefined }[];
}

export class WorkerTable {
  readonly #body = find('worker-rows');
  readonly #summary = find('workers-summary');
  /** By worker id. */
  readonly #rows = new Map<number, Row>();

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
      let row = this.#rows.get(worker.workerId);
      if (row === undefined) {
        row = makeRow(worker);
        this.#rows.set(worker.workerId, row);
      }
      if (this.#body.children[i] !== row.root) this.#body.insertBefore(row.root, this.#body.children[i] ?? null);
      fill(row, worker);
    }
    say(this.#summary, summary(status));
  }
}

function summary({ workers, sizing, cgroup }: Status): string {
  const sum = (value: (worker: WorkerStatus) => number | null): number =>
    workers.reduce((total, worker) => total + (value(worker) ?? 0), 0);
  const ready = workers.filter(({ state }) => state === 'ready' || state === 'leaving').length;
  return [
    `${ready} of ${sizing.target} ready`,
    `${plural(
      sum(({ inFlight }) => inFlight),
      'request',
    )} in flight`,
    plural(
      sum(({ connections }) => connections),
      'connection',
    ),
    ...(cgroup.memoryUsageBytes === null || sizing.limits.memoryBytes === null
      ? [`${bytes(sum(({ residentBytes }) => residentBytes))} resident`]
      : [`memory ${bytesOf(cgroup.memoryUsageBytes, sizing.limits.memoryBytes)}`]),
  ].join(' · ');
}

function makeRow({ slot }: WorkerStatus): Row {
  const cells = COLUMNS.map(({ share }) => ({
    text: element('span', { class: 'text' }),
    bar: share && element('span', { class: 'bar', 'aria-hidden': 'true' }, element('span')),
  }));
  const root = element('tr', {}, element('th', { scope: 'row' }, `Slot ${slot}`));
  for (const [i, { label, look }] of COLUMNS.entries()) {
    const cell = cells[i];
    if (!cell) continue;
    root.append(element('td', { class: look, 'data-label': label }, cell.text, ...(cell.bar ? [cell.bar] : [])));
  }
  keepTable(root);
  return { root, cells };
}

function fill({ root, cells }: Row, worker: WorkerStatus): void {
  root.dataset.state = worker.state;
  for (const [i, { text, share }] of COLUMNS.entries()) {
    const cell = cells[i];
    if (!cell) continue;
    say(cell.text, text(worker));
    const part = share?.(worker) ?? null;
    if (!cell.bar) continue;
    cell.bar.hidden = part === null;
    cell.bar.classList.toggle('high', (part ?? 0) >= HIGH);
    cell.bar.style.setProperty('--share', `${(100 * Math.min(1, part ?? 0)).toFixed(1)}%`);
  }
}
