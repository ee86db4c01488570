/** `npm run bench`: all figures side by side, as a Markdown table. See bench/README.md. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { EXPERIMENTS, median, type Row } from './figures.ts';
import { Servers } from './servers.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: Object.keys(EXPERIMENTS) },
    rounds: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
  },
});

const servers = new Servers();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void servers.dispose().finally(() => process.exit(1)));
}

try {
  if (!existsSync(new URL('../dist/main.js', import.meta.url))) throw new Error('there is no dist/: npm run build');
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a positive number');
  const rows: Row[] = [];
  for (const name of options.only) {
    const experiment = EXPERIMENTS[name];
    if (experiment === undefined) throw new Error(`--only takes ${Object.keys(EXPERIMENTS).join(', ')}`);
    process.stderr.write(`${name} …\n`);
    rows.push(...(await experiment({ servers, rounds })));
  }
  process.stdout.write(options.json ? json(rows) : table(rows));
} catch (error) {
  process.stderr.write(`bench: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await servers.dispose();
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ figure, unit, values, target, context }) => {
    const show = (value: number): string => `${value.toFixed(unit === '×' ? 2 : 1)} ${unit}`;
    const range = `${show(Math.min(...values))} – ${show(Math.max(...values))}`;
    const goal = target === undefined ? ['', ''] : [`≤ ${target} ${unit}`, isMet({ values, target }) ? 'yes' : 'no'];
    return ['', figure, show(median(values)), range, ...goal, context ?? '', ''].join(' | ').trim();
  });
  return [
    `Node.js ${process.version}, ${availableParallelism()} cores, ${options.rounds} rounds`,
    '',
    '| figure | median | min – max | target | met | absolute medians |',
    '|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}

function json(rows: readonly Row[]): string {
  const figures = rows.map((row) => ({ ...row, median: median(row.values), met: isMet(row) }));
  const machine = { node: process.version, cores: availableParallelism() };
  return `${JSON.stringify({ ...machine, figures }, undefined, 2)}\n`;
}

function isMet({ values, target }: Pick<Row, 'values' | 'target'>): boolean | undefined {
  return target === undefined ? undefined : median(values) <= target;
}
