/** Command-line words, split and joined as a POSIX shell would, without expansion. */
import { printable } from './parsers.ts';
import { BadValue, type Parser } from './table.ts';

/** Within double quotes a backslash is special only before these (POSIX.1-2024, Shell Command Language, 2.2.3). */
const ESCAPABLE = '"\\$`\n';

/** Throws BadValue for an unclosed quote and a trailing backslash. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined; // undefined between words: '' is a word when it is quoted
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    const next = text.charAt(i + 1);
    if (char === '\\' && (quote === '' || (quote === '"' && ESCAPABLE.includes(next)))) {
      if (next === '') throw new BadValue('it ends in a backslash');
      if (next !== '\n') word = (word ?? '') + next; // a continued line is one line
      i += 1;
    } else if (char === quote) {
      quote = '';
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== '') throw new BadValue(`a ${quote} is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}

export function joinWords(words: readonly string[]): string {
  const plain = /^[\w@%+=:,./-]+$/;
  return words.map((word) => (plain.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' ');
}

/** Arguments of `node` before the script. */
export const nodeOptions: Parser<string[]> = {
  accepts: 'Node.js options, quoted as in a shell',
  parse(text) {
    const words = splitWords(text);
    // node would run the first word that is not an option instead of the worker.
    if (words[0] !== undefined && !words[0].startsWith('-')) throw new BadValue('the first word is not an option');
    // As an env file has it whose reader keeps quotes.
    if (/^\s*(["'])-[\w-]+\s.*\1\s*$/.test(text) && words.length === 1) {
      throw new BadValue(`quotes make one option of ${words[0]}`);
    }
    return words.map(printable);
  },
  format: joinWords,
};
