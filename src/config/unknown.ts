/** Names that look like settings and are none. */
import type { ConfigProblem } from '../errors.ts';
import { namesOf, type Table, variablesOf } from './table.ts';

const PREFIX = 'TSUNICORN_';

/** Levenshtein's distance: how many letters to insert, delete or replace to make `b` of `a`. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The name of `table` that `unknown` most likely means; undefined when none is near. */
export function suggest(unknown: string, table: Table): string | undefined {
  const file = unknown.endsWith('_FILE') ? '_FILE' : '';
  const bare = (name: string) => name.replace(PREFIX, '').replaceAll('_', '');
  const wanted = bare(unknown.slice(0, unknown.length - file.length));
  let best: string | undefined;
  let least = Math.floor(wanted.length / 3); // more letters wrong than this is another word
  for (const name of Object.values(table).flatMap(namesOf)) {
    const away = distance(wanted, bare(name));
    if (away < least || (away === least && best === undefined)) {
      best = name + file;
      least = away;
    }
  }
  return best;
}

/**
 * The variables that Kubernetes sets in every pod for a service whose name makes `NAME_SERVICE_HOST` (kubelet's
 * service links): a service called "tsunicorn" makes `TSUNICORN_PORT=tcp://…` and more.
 */
function serviceLinks(names: readonly string[]): RegExp[] {
  return names
    .filter((name) => /^\w+_SERVICE_HOST$/.test(name))
    .map((name) => name.slice(0, -'_SERVICE_HOST'.length))
    .map(
      (service) => new RegExp(`^${service}_(SERVICE_(HOST|PORT(_\\w+)?)|PORT(_\\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)$`),
    );
}

/** Each `TSUNICORN_*` name that is no setting. The values are left out: one may be a misspelt secret. */
export function unknownNames(table: Table, variables: Readonly<Record<string, string | undefined>>): ConfigProblem[] {
  const names = Object.keys(variables).filter((name) => name.startsWith(PREFIX) && variables[name] !== undefined);
  const known = new Set(variablesOf(table));
  const links = serviceLinks(names);
  return names
    .filter((name) => !known.has(name) && !links.some((link) => link.test(name)))
    .map((name) => {
      const suggestion = suggest(name, table);
      return { name, message: `is not a setting${suggestion === undefined ? '' : `; did you mean ${suggestion}?`}` };
    });
}
