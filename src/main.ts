#!/usr/bin/env node
/** The binary. Each command is loaded only when it runs: a worker does not carry the arbiter's modules. */
import { ConfigError, EXIT_CODES, HaltServer } from './errors.ts';
import { ignoreSignals, listenForSignals } from './platform/signals.ts';
import { exitDespiteWrites } from './platform/thread-writes.ts';

const USAGE = `usage: tsunicorn [check | config [--json | --markdown | --env] | healthcheck | version]

Without a command it serves. Everything is configured by environment variables:
\`tsunicorn config\` lists them with their values in force, \`tsunicorn config --env\` as a commented file.
`;

/**
 * The arbiter's loop turns once a second: compiled code would cost it 4 MB for nothing, and a young generation that grows
 * at a scrape 2 MB. That is collected without helper threads: the loop would wait until each has got a CPU
 * (docs/decisions/0008-metrics.md).
 */
const ARBITER_FLAGS = '--no-opt --no-maglev --no-sparkplug --semi-space-growth-factor=1 --no-parallel-scavenge'.split(
  ' ',
);

/** As `engines` in package.json. */
const OLDEST = [22, 18] as const;

function checkNode(): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return;
  throw new HaltServer(
    `tsunicorn needs Node.js ${OLDEST.join('.')} or newer, and this is ${process.version}`,
    'config',
  );
}

async function main(command: string | undefined, args: readonly string[]): Promise<number> {
  checkNode();
  if (args.length > 0 && command !== 'config')
    throw new HaltServer(`tsunicorn ${command} takes no argument\n${USAGE}`, 'config');
  switch (command) {
    case undefined: {
      for (const flag of ARBITER_FLAGS) process.getBuiltinModule('node:v8').setFlagsFromString(flag);
      // Before all that takes a while to load.
      const signals = listenForSignals(process);
      return await (await import('./commands/serve.ts')).serve(process, signals);
    }
    case 'worker': {
      if (!process.connected) throw new HaltServer('a worker is started by the arbiter; run tsunicorn alone', 'config');
      const restoreSignals = ignoreSignals(process);
      return await (await import('./worker/run.ts')).runWorker(process, restoreSignals);
    }
    case 'check':
      return await (await import('./commands/check.ts')).check(process);
    case 'config':
      return (await import('./commands/config.ts')).config(process, args);
    case 'healthcheck':
      return await (await import('./commands/healthcheck.ts')).healthcheck(process);
    case 'version':
      process.stdout.write(`tsunicorn ${(await import('./version.ts')).version()} on Node.js ${process.version}\n`);
      return EXIT_CODES.ok.status;
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(USAGE);
      return EXIT_CODES.ok.status;
    default:
      throw new HaltServer(`there is no command ${command}\n${USAGE}`, 'config');
  }
}

function exit(status: number): never {
  exitDespiteWrites(process);
  process.exit(status);
}

try {
  exit(await main(process.argv[2], process.argv.slice(3)));
} catch (error) {
  const status = error instanceof HaltServer ? error.status : EXIT_CODES.failure.status;
  const text = error instanceof HaltServer ? error.message : ((error as Error).stack ?? String(error));
  process.stderr.write(`${text}\n`);
  if (error instanceof ConfigError) {
    const { length } = error.problems;
    const what = length === 1 ? '1 setting needs' : `${length} settings need`;
    process.stderr.write(`tsunicorn: ${what} attention (exit code ${status})\n`);
  }
  exit(status);
}
