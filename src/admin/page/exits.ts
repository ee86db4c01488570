/** The last exits of workers, newest first. One with a message or a stack can be opened. */
import type { WorkerExitStatus } from '../status.ts';
import { type Child, element, find } from './dom.ts';
import { span } from './format.ts';

/** Reasons that need no attention. */
const ORDERLY: readonly (string | null)[] = [null, 'reload', 'resize', 'max_requests', 'rss', 'lifetime'];

export class ExitList {
  readonly #list = find('exits');
  readonly #none = find('no-exits');
  /** By worker id. Kept, so that an open one stays open. */
  readonly #items = new Map<number, HTMLElement>();

  show(exits: readonly WorkerExitStatus[]): void {
    this.#none.hidden = exits.length > 0;
    const items = exits.map((exit) => [exit.workerId, this.#items.get(exit.workerId) ?? makeItem(exit)] as const);
    this.#items.clear();
    for (const [id, item] of items) this.#items.set(id, item);
    const { children } = this.#list;
    const same = items.length === children.length && items.every(([, item], i) => item === children[i]);
    if (!same) this.#list.replaceChildren(...this.#items.values());
  }

  /** The worker ids of another arbiter start again at 1. */
  forget(): void {
    this.#items.clear();
  }
}

function makeItem(exit: WorkerExitStatus): HTMLElement {
  const { time, slot, workerId, pid, seconds, reason, how, message, stack } = exit;
  const moment = new Date(time);
  const process = pid === null ? [] : [`pid ${pid}`];
  const age = `lived ${span(seconds)}`;
  const line: Child[] = [
    element('time', { datetime: time, title: moment.toLocaleString() }, moment.toLocaleTimeString('en-GB')),
    element(
      'span',
      { class: `reason ${ORDERLY.includes(reason) ? '' : 'bad'}` },
      reason?.replace('_', ' ') ?? 'surplus',
    ),
    element('span', {}, how),
    element('span', { class: 'aside' }, [`slot ${slot}`, `worker #${workerId}`, ...process, age].join(' · ')),
  ];
  if (message === null && stack === null) return element('li', {}, element('p', { class: 'exit' }, ...line));
  const told: Child[] = message === null ? [] : [element('p', { class: 'message' }, message)];
  // tabindex: the keyboard has to reach a box that scrolls.
  const label = { tabindex: '0', role: 'group', 'aria-label': `Stack of worker ${workerId}` };
  if (stack !== null) told.push(element('pre', label, stack));
  return element('li', {}, element('details', {}, element('summary', { class: 'exit' }, ...line), ...told));
}
