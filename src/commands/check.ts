/** `tsunicorn check`: loads the configuration and the app as a worker would, without binding anything. */
import { lateBoot } from '../arbiter/pool/worker.ts';
import { WorkerProcess } from '../arbiter/worker-process.ts';
import { environmentOf, givenOf, loadSettings } from '../config/load.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { readLimits } from '../platform/kernel/limits.ts';
import { identityOf } from '../platform/users.ts';
import { decideSizing } from '../sizing.ts';

export async function check(process: NodeJS.Process): Promise<number> {
  const loaded = loadSettings(environmentOf(process));
  const { settings } = loaded;
  const { heapBytes } = decideSizing(settings, readLimits());
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let app: string | undefined;
  let waitingFor: string | undefined;
  const worker = new WorkerProcess(
    {
      slot: 0,
      workerId: 1,
      generation: 1,
      settings,
      given: givenOf(loaded),
      ports: settings.bind.flatMap((address) => (address.kind === 'tcp' ? [address.port] : [])),
      listeners: [],
      memory: undefined,
      heapBytes,
      started: false,
      waitsToAccept: false,
      checkOnly: true,
      env: process.env,
      identity: identityOf(settings.user, settings.group),
      stackSignal: undefined,
    },
    {
      message: (from, message) => {
        if (message.type === 'ready') app = message.app;
        else if (message.type === 'boot-progress') waitingFor = message.waitingFor;
        else if (message.type === 'boot-failed') from.failure = message;
      },
      forged: (from, fault) => from.kill(`the app sent a message that no worker sends (${fault})`),
      exit: ({ code, signal, spawnError, failure, killReason }) => {
        if (app !== undefined && code === EXIT_CODES.ok.status) return resolve(app);
        if (spawnError instanceof HaltServer) return reject(spawnError);
        const ended = spawnError?.message ?? `it ended with ${signal ?? `exit code ${code}`} while loading`;
        const exit = failure?.fatal ? (failure.exit ?? 'app') : 'boot';
        reject(new HaltServer(failure?.reason ?? killReason ?? ended, exit));
      },
    },
  );
  const { bootTimeout } = settings;
  const timeout = setTimeout(() => worker.kill(lateBoot(bootTimeout, waitingFor)), bootTimeout * 1000);
  try {
    process.stdout.write(`ok: ${await promise} can be served\n`);
    return EXIT_CODES.ok.status;
  } finally {
    clearTimeout(timeout);
  }
}
