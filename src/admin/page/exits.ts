/** The last ends of workers, newest first; one that left a message or a stack opens. */
import type { ExitStatus } from '../status.ts';
import { type Child, element, find } from './dom.ts';
import { span } from './format.ts';

/** Reasons for which nobody has to be called. */
const ORDERLY: readonly (string | null)[] = [null, 'reload', 'resize', 'max_requests', 'rss', 'lifetime'];

export class Exits {
  readonly #list = find('exits');
  readonly #none = find('no-exits');
  /** By worker id: an open one stays open. */
  readonly #items = new Map<number, HTMLElement>();

  show(exits: readonly ExitStatus[]): void {
    this.#none.hidden = exits.length > 0;
    const items = exits.map((exit) => this.#items.get(exit.workerId) ?? makeItem(exit));
    this.#items.clear();
    for (const [i, exit] of exits.entries()) {
      const item = items[i];
      if (item) this.#items.set(exit.workerId, item);
    }
    const same =
      items.length === this.#list.children.length && items.every((item, i) => item === this.#list.children[i]);
    if (!same) this.#list.replaceChildren(...items);
  }

  /** Of another arbiter the ages begin anew. */
  forget(): void {
    this.#items.clear();
  }
}

function makeItem(exit: ExitStatus): HTMLElement {
  const { time, slot, workerId, pid, seconds, reason, how, message, stack } = exit;
  const moment = new Date(time);
  const line: Child[] = [
    element('time', { datetime: time, title: moment.toLocaleString() }, moment.toLocaleTimeString('en-GB')),
    element(
      'span',
      { class: ORDERLY.includes(reason) ? 'reason' : 'reason bad' },
      (reason ?? 'not wanted').replace('_', ' '),
    ),
    element('span', { class: 'how' }, how),
    element(
      'span',
      { class: 'aside' },
      `slot ${slot} · worker #${workerId} · ${pid === null ? '' : `pid ${pid} · `}lived ${span(seconds)}`,
    ),
  ];
  if (message === null && stack === null) return element('li', {}, element('p', { class: 'exit' }, ...line));
  const told: Child[] = message === null ? [] : [element('p', { class: 'message' }, message)];
  // A scrolling box has to be reachable by keyboard.
  if (stack !== null)
    told.push(element('pre', { tabindex: '0', role: 'group', 'aria-label': `Stack of worker ${workerId}` }, stack));
  return element('li', {}, element('details', {}, element('summary', { class: 'exit' }, ...line), ...told));
}
