/** What env files leave around a value: `docker run --env-file` and others take all that follows the `=` as it is. */

const LEFT_BEHIND: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['carriage return', /\r+$/],
  ['byte order mark', /^\uFEFF/],
  ['line break', /^[\r\n]+|[\r\n]+$/g],
  ['space', /^[\s\u200B\u2060]+|[\s\u200B\u2060]+$/g],
  ['quotes', /^(["'`])(.*)\1$/s],
  ['comment', /\s#.*$/s],
  ['quote', /^["'`](?=[^"'`]*$)|(?<=^[^"'`]*)["'`]$/],
  ['typographic quotes', /^[“”„‟‘’‚‛«»]+|[“”„‟‘’‚‛«»]+$/g],
  ['semicolon', /;+$/],
];

/** Without what around it `text` would be accepted, as the end of a message; '' where something else is wrong. */
export function hint(text: string, accepts: (text: string) => boolean, fromFile: boolean): string {
  const left = new Set<string>();
  for (let rest = text; ; ) {
    const [what, pattern] = LEFT_BEHIND.find(([, found]) => rest.search(found) !== -1) ?? [];
    if (what === undefined || pattern === undefined) return '';
    rest = rest.replace(pattern, what === 'quotes' ? '$2' : '');
    left.add(what);
    // Empty is not set.
    if (rest === '' || accepts(rest)) return `; remove the ${[...left].join(' and the ')}${fromFile ? '' : KEPT}`;
  }
}

const KEPT = ' (docker run --env-file takes all that follows the = as the value)';

/** A word around which something was left, as in {@link hint}; no path is meant to look like this. */
export function isWrapped(text: string): boolean {
  return /^\s|\s$|^(["'`]).*\1$|^[“”„‟‘’‚‛«»].*[“”„‟‘’‚‛«»]$/.test(text);
}
