/** The settings in force, with a filter. */
import type { Status } from '../status.ts';
import { element, find, keepTable, say } from './dom.ts';
import { plural } from './format.ts';

export class SettingTable {
  readonly #table = find('setting-table');
  readonly #body = find('setting-rows');
  readonly #filter = find('filter') as HTMLInputElement;
  readonly #onlyGiven = find('changed') as HTMLInputElement;
  #shown = '';
  #rows: { readonly root: HTMLElement; readonly text: string; readonly given: boolean }[] = [];

  constructor() {
    for (const input of [this.#filter, this.#onlyGiven]) input.addEventListener('input', () => this.#apply());
  }

  show(settings: Status['settings']): void {
    const key = JSON.stringify(settings);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#rows = Object.entries(settings).map(([name, { value, origin, variable }]) => {
      const source = variable === undefined || variable === name ? origin : `${origin} ${variable}`;
      const given = variable !== undefined;
      const root = element(
        'tr',
        { class: given ? 'given' : undefined },
        element('th', { scope: 'row' }, element('code', {}, name)),
        element('td', {}, value ? element('code', {}, value) : element('span', { class: 'aside' }, 'none')),
        element('td', {}, source),
      );
      return { root, text: `${name} ${value ?? ''} ${source}`.toLowerCase(), given };
    });
    this.#body.replaceChildren(...this.#rows.map(({ root }) => root));
    keepTable(this.#table);
    const given = this.#rows.filter((row) => row.given).length;
    say(find('settings-count'), `${this.#rows.length}, of which ${given} given`);
    this.#apply();
  }

  #apply(): void {
    const words = this.#filter.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const { root, text, given } of this.#rows) {
      const matches = words.every((word) => text.includes(word)) && (given || !this.#onlyGiven.checked);
      root.hidden = !matches;
      if (matches) shown++;
    }
    const filtered = this.#filter.value !== '' || this.#onlyGiven.checked;
    say(find('matches'), filtered ? `${plural(shown, 'setting')} of ${this.#rows.length}` : '');
  }
}
