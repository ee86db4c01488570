/** Small apps, planted in directories of their own. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import type { App } from '../../src/worker/app/app.ts';
import { loadApp, type Program } from '../../src/worker/app/load.ts';

const temporary = realpathSync(mkdtempSync(join(tmpdir(), 'tsunicorn-app-')));
after(() => rmSync(temporary, { recursive: true }));

/** File names and their texts. */
export type Files = Readonly<Record<string, string>>;

export function plant(files: Files): string {
  const root = mkdtempSync(join(temporary, 'app-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** What the app answers: the fixtures' handlers end the response with a word of their own. */
export function answerOf(app: App): unknown {
  if (app.kind === 'server') return `server ${app.server.listenerCount('request')}`;
  const words: unknown[] = [];
  const response = { end: (word: unknown) => words.push(word) };
  app.handle({} as IncomingMessage, response as unknown as ServerResponse);
  return words[0];
}

export const says = (word: string): string => `(q, s) => s.end('${word}')`;

/** In CommonJS. */
export const SERVER = `require('node:http').createServer(${says('no')})`;

/** A worker around modules that only export: it has no server of its own to offer. */
const program: Omit<Program, 'waitingFor'> = {
  imported: async () => {},
  ownServer: () => undefined,
  listensMeanwhile: () => new Promise(() => {}),
  listensYet: async () => {},
  listensInstead: (problem) => Promise.reject(problem),
};

/** As a worker loads it. `waited` collects what the boot waits for. */
export function load(reference: string | undefined, directory: string, waited: string[] = []): Promise<App> {
  const waitingFor = (what: string): void => void waited.push(what);
  return loadApp(reference, directory, { ...program, waitingFor });
}
