/** `tsunicorn healthcheck`: asks the running server for `/readyz`; needs no shell and no curl. */
import { environmentOf, loadSettings } from '../config/load.ts';
import { EXIT_CODES, HaltServer } from '../errors.ts';
import { formatBindAddress } from '../platform/address.ts';
import { http } from '../platform/node-http.ts';

/** Docker's own default for a health check is 30 s; a server that needs longer than this is not well. */
const TIMEOUT_MS = 5_000;

/** An address to listen on is not always one to connect to. */
const REACHABLE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

export async function healthcheck(process: NodeJS.Process): Promise<number> {
  const { adminBind } = loadSettings(environmentOf(process)).settings;
  if (adminBind === undefined) {
    throw new HaltServer('TSUNICORN_ADMIN_BIND=off: there is no admin endpoint to ask', 'config');
  }
  const target =
    adminBind.kind === 'unix'
      ? { socketPath: adminBind.path }
      : adminBind.kind === 'tcp'
        ? { host: REACHABLE[adminBind.host] ?? adminBind.host, port: adminBind.port }
        : {};
  const { promise, resolve } = Promise.withResolvers<{ ok: boolean; text: string }>();
  const request = http.get({ ...target, path: '/readyz', timeout: TIMEOUT_MS, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => resolve({ ok: response.statusCode === 200, text: Buffer.concat(chunks).toString() }));
  });
  request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
  request.on('error', ({ message }) => resolve({ ok: false, text: `${formatBindAddress(adminBind)}: ${message}\n` }));
  const { ok, text } = await promise;
  process[ok ? 'stdout' : 'stderr'].write(text);
  return ok ? EXIT_CODES.ok.status : EXIT_CODES.failure.status;
}
