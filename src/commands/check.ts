/** `tsunicorn check`: loads the configuration and the app as a worker would, without binding anything. */

import { nodeFlags } from '../arbiter/node-flags.ts';
import { lateBoot } from '../arbiter/pool/deadlines.ts';
import { WorkerProcess } from '../arbiter/worker-process.ts';
import { loadSettings } from '../config/load.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { readLimits } from '../platform/kernel/limits.ts';
import { identityOf } from '../platform/users.ts';
import { decideSizing } from '../sizing.ts';
import { environmentOf } from './environment.ts';

export async function check(process: NodeJS.Process): Promise<number> {
  const { settings } = loadSettings(environmentOf(process));
  const { heapBytes } = decideSizing(settings, readLimits());
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let app: string | undefined;
  let waitingFor: string | undefined;
  const worker = new WorkerProcess(
    {
      slot: 0,
      workerId: 1,
      settings,
      listeners: [],
      ports: settings.bind.flatMap((address) => (address.kind === 'tcp' ? [address.port] : [])),
      execArgv: nodeFlags(settings, heapBytes, process.env.NODE_OPTIONS),
      env: process.env,
      checkOnly: true,
      ...identityOf(settings.user, settings.group),
    },
    {
      message: (from, message) => {
        if (message.type === 'ready') app = message.app;
        else if (message.type === 'waiting') waitingFor = message.for;
        else if (message.type === 'boot-failed') from.lastWords = message;
      },
      exit: ({ lastWords, killedFor }, { code, signal, error, badDirectory }) => {
        if (app !== undefined && code === EXIT_CODES.ok.status) return resolve(app);
        const how =
          lastWords?.reason ??
          killedFor ??
          error?.message ??
          `it ended with ${signal ?? `exit code ${code}`} while loading`;
        if (badDirectory !== undefined) return reject(new HaltServer(badDirectory, 'config'));
        reject(new HaltServer(how, lastWords?.fatal ? (lastWords.exit ?? 'app') : 'boot'));
      },
    },
  );
  const timeout = setTimeout(() => {
    worker.kill(lateBoot(`after ${settings.bootTimeout} s (TSUNICORN_BOOT_TIMEOUT)`, waitingFor));
  }, settings.bootTimeout * 1000);
  try {
    process.stdout.write(`ok: ${await promise} can be served\n`);
    return EXIT_CODES.ok.status;
  } finally {
    clearTimeout(timeout);
  }
}
