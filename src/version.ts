import { readFileSync } from './platform/node-fs.ts';

let cached: string | undefined;

export function version(): string {
  cached ??= String(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version);
  return cached;
}
