/** Families, series and their labels, as arbiter and workers have them. Loads nothing: workers import it. */

import type { Labels } from '../../messages.ts';

export type { Labels };

/** What follows the family's name (`_bucket`), the labels, and the value. Labels that stay the same object print faster. */
export type Sample = readonly [suffix: string, labels: Labels, value: number];

export interface Family {
  readonly name: string;
  readonly help: string;
  /** `counter`, `gauge`, `histogram` or `summary`. */
  readonly type: string;
  readonly samples: Iterable<Sample>;
}

/** `name="value",…`, the same for all labels that are printed the same: the key of a series. */
export function labelText(labels: Labels): string {
  let text = '';
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === '' ? '' : ','}${name}="${escapeLabel(String(value))}"`;
  }
  return text;
}

function escapeLabel(text: string): string {
  return /[\\\n"]/.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"') : text;
}
