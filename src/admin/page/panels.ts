/** The panels beside the charts and the table of workers: sizing, last exits, settings. */
import type { Status, WorkerExitStatus } from '../status.ts';
import { type Child, element, find, say, showEach } from './dom.ts';
import { bytes, NONE, plural, sizingInWords, span } from './words.ts';

export function showSizing(status: Status): void {
  const { target, warning, limits } = status.sizing;
  const inputs: (readonly [name: string, value: string, source?: string | undefined])[] = [
    ['CPU quota', limits.quotaCores === null ? 'none' : plural(limits.quotaCores, 'core'), limits.sources.quota],
    ['Cpuset', limits.cpusetCpus === null ? 'none' : plural(limits.cpusetCpus, 'CPU'), limits.sources.cpuset],
    ['Affinity', limits.affinityCpus === null ? NONE : plural(limits.affinityCpus, 'CPU')],
    ['Online', plural(limits.onlineCpus, 'CPU')],
    ['Memory limit', limits.memoryBytes === null ? 'none' : bytes(limits.memoryBytes), limits.sources.memory],
    ['Cgroup', limits.cgroup],
  ];
  const list = element('dl');
  for (const [name, value, source] of inputs) {
    const from = source === undefined ? [] : [' ', element('code', {}, source)];
    list.append(element('dt', {}, name), element('dd', {}, value, ...from));
  }
  find('sizing').replaceChildren(
    element('p', { class: 'decision' }, element('strong', {}, plural(target, 'worker'))),
    element('p', {}, sizingInWords(status).join(' ')),
    ...(warning === null ? [] : [element('p', { class: 'warning' }, warning)]),
    list,
  );
}

export function showExits(exits: readonly WorkerExitStatus[]): void {
  find('no-exits').hidden = exits.length > 0;
  showEach(find('exits'), exits, exitItem);
}

/** Reasons that need no attention. */
const ORDERLY: readonly (string | null)[] = [null, 'reload', 'resize', 'max_requests', 'rss', 'lifetime'];

/** It can be opened if the worker left a message or a stack. */
function exitItem({ time, slot, workerId, pid, seconds, reason, how, message, stack }: WorkerExitStatus): HTMLElement {
  const moment = new Date(time);
  const look = `reason ${ORDERLY.includes(reason) ? '' : 'bad'}`;
  const process = pid === null ? [] : [`pid ${pid}`];
  const facts = [`slot ${slot}`, `worker #${workerId}`, ...process, `lived ${span(seconds)}`];
  const line = [
    element('time', { datetime: time, title: moment.toLocaleString() }, moment.toLocaleTimeString('en-GB')),
    element('span', { class: look }, reason?.replace('_', ' ') ?? 'surplus'),
    element('span', {}, how),
    element('span', { class: 'aside' }, facts.join(' · ')),
  ];
  if (message === null && stack === null) return element('li', {}, element('p', { class: 'exit' }, ...line));
  const told: Child[] = message === null ? [] : [element('p', { class: 'message' }, message)];
  // tabindex: the keyboard has to reach a box that scrolls.
  const label = { tabindex: '0', role: 'group', 'aria-label': `Stack of worker ${workerId}` };
  if (stack !== null) told.push(element('pre', label, stack));
  return element('li', {}, element('details', {}, element('summary', { class: 'exit' }, ...line), ...told));
}

const filter = find('filter') as HTMLInputElement;
const onlyGiven = find('changed') as HTMLInputElement;
for (const input of [filter, onlyGiven]) input.addEventListener('input', filterSettings);

let settings: { readonly row: HTMLElement; readonly text: string; readonly given: boolean }[] = [];

export function showSettings(inForce: Status['settings']): void {
  settings = Object.entries(inForce).map(([name, { value, origin, variable }]) => {
    const given = variable !== undefined;
    const source = !given || variable === name ? origin : `${origin} ${variable}`;
    const row = element(
      'tr',
      { role: 'row', class: given ? 'given' : '' },
      element('th', { role: 'rowheader', scope: 'row' }, element('code', {}, name)),
      element('td', { role: 'cell' }, value ? element('code', {}, value) : element('span', { class: 'aside' }, 'none')),
      element('td', { role: 'cell' }, source),
    );
    return { row, text: `${name} ${value ?? ''} ${source}`.toLowerCase(), given };
  });
  find('setting-rows').replaceChildren(...settings.map(({ row }) => row));
  const given = settings.filter((setting) => setting.given).length;
  say(find('settings-count'), `${settings.length}, of which ${given} given`);
  filterSettings();
}

function filterSettings(): void {
  const words = filter.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const { row, text, given } of settings) {
    row.hidden = !words.every((word) => text.includes(word)) || (onlyGiven.checked && !given);
    if (!row.hidden) shown++;
  }
  const filtered = filter.value !== '' || onlyGiven.checked;
  say(find('matches'), filtered ? `${plural(shown, 'setting')} of ${settings.length}` : '');
}
