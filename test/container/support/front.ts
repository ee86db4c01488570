/** tsunicorn behind nginx, each in its container, over unix sockets or TCP. */
import { freePort, request } from '../../support/server.ts';
import { waitFor } from '../../support/wait.ts';
import { ROOT } from './machine.ts';
import { type Cleaner, Container, NGINX_IMAGE, socketVolume } from './podman.ts';

export const APP_VOLUME = `--volume=${ROOT}test/container/app:/app:ro`;

export interface FrontOptions {
  readonly appEnv?: Readonly<Record<string, string>>;
  readonly appArgs?: readonly string[];
  readonly nginxEnv?: Readonly<Record<string, string>>;
  readonly nginxArgs?: readonly string[];
  /** Names of app containers, which are part of their sockets' names. */
  readonly apps?: readonly string[];
}

export interface Front {
  readonly port: number;
  readonly app: Container;
  readonly apps: readonly Container[];
  readonly nginx: Container;
}

/** Starts the apps, waits until they are ready, and starts nginx. */
export async function behindNginx(t: Cleaner, options: FrontOptions = {}): Promise<Front> {
  const { apps: names = ['app'], appArgs = [], appEnv = {}, nginxArgs = [], nginxEnv = {} } = options;
  const volume = await socketVolume(t);
  const apps: Container[] = [];
  for (const name of names) {
    const env = { TSUNICORN_WORKERS: '2', TSUNICORN_BIND: `unix:/run/tsunicorn/${name}-{slot}.sock`, ...appEnv };
    const args = [APP_VOLUME, `--volume=${volume}:/run/tsunicorn`, ...appArgs];
    apps.push(await Container.start(t, { env, args }));
  }
  for (const app of apps) await app.untilLogged('worker is ready', Number(appEnv.TSUNICORN_WORKERS ?? 2));
  const upstream = names.map((name) => `unix:/run/tsunicorn/${name}-{slot}.sock`).join(' ');
  const front = await nginx(t, {
    env: { NGINX_UPSTREAM: upstream, ...appEnv, ...nginxEnv },
    args: [`--volume=${volume}:/run/tsunicorn`, ...nginxArgs],
  });
  return { ...front, app: apps[0] as Container, apps };
}

/** nginx alone, on a free port of loopback. */
export async function nginx(
  t: Cleaner,
  { env, args = [] }: { readonly env: Readonly<Record<string, string>>; readonly args?: readonly string[] },
): Promise<{ port: number; nginx: Container }> {
  const port = await freePort();
  // TSUNICORN_BIND is the app's; nginx is told where to look by NGINX_UPSTREAM.
  const container = await Container.start(t, {
    image: NGINX_IMAGE,
    network: 'host',
    env: { NGINX_PORT: `127.0.0.1:${port}`, ...env },
    args,
  });
  let log = '';
  await waitFor(
    'nginx answers',
    async () => {
      const answer = await request({ host: '127.0.0.1', port, path: '/nginx-health' }).catch(() => undefined);
      if (!answer) log = await container.logs();
      return answer?.status === 200;
    },
    { seconds: 30, state: () => log },
  );
  return { port, nginx: container };
}
