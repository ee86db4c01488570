/** The sizing decision with its inputs. */
import type { Status } from '../status.ts';
import { element, find } from './dom.ts';
import { bytes, NONE, plural } from './format.ts';
import { sizingInWords } from './words.ts';

export class SizingPanel {
  readonly #root = find('sizing');
  #shown = '';

  show(status: Status): void {
    const key = JSON.stringify([status.sizing, status.settings.TSUNICORN_WORKERS]);
    if (key === this.#shown) return;
    this.#shown = key;
    const { sizing } = status;
    const { limits } = sizing;
    const inputs: (readonly [name: string, value: string, source?: string | undefined])[] = [
      ['CPU quota', limits.quotaCores === null ? 'none' : plural(limits.quotaCores, 'core'), limits.sources.quota],
      ['Cpuset', limits.cpusetCpus === null ? 'none' : plural(limits.cpusetCpus, 'CPU'), limits.sources.cpuset],
      ['Affinity', limits.affinityCpus === null ? NONE : plural(limits.affinityCpus, 'CPU')],
      ['Online', plural(limits.onlineCpus, 'CPU')],
      ['Memory limit', limits.memoryBytes === null ? 'none' : bytes(limits.memoryBytes), limits.sources.memory],
      ['Cgroup', limits.cgroup],
    ];
    this.#root.replaceChildren(
      element('p', { class: 'decision' }, element('strong', {}, plural(sizing.target, 'worker'))),
      element('p', {}, sizingInWords(status).join(' ')),
      ...(sizing.warning === null ? [] : [element('p', { class: 'warning' }, sizing.warning)]),
      element(
        'dl',
        {},
        ...inputs.flatMap(([name, value, source]) => [
          element('dt', {}, name),
          element('dd', {}, value, ...(source === undefined ? [] : [' ', element('code', {}, source)])),
        ]),
      ),
    );
  }
}
