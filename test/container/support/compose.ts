/** The Compose files, run by Docker Compose against a real daemon; only what needs a bridge network is put aside. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { baseImages, DIRECTORY, DOCKER_ENV, engine, must, type Result, ROOT, run } from './machine.ts';

/** Starts the daemon and gives it the images that the Compose files name. */
export async function dockerUp(): Promise<void> {
  await engine('up-docker');
  await baseImages(
    [join(DIRECTORY, 'docker/usr/bin/docker')],
    ['slim-26', 'full-26', 'nginx', 'haproxy', 'prometheus'],
    {
      ...DOCKER_ENV,
    },
  );
}

export async function docker(...args: string[]): Promise<string> {
  return await must(join(DIRECTORY, 'docker/usr/bin/docker'), args, { env: DOCKER_ENV, timeout: 300 });
}

export class Compose {
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;

  /** `files` below compose/, and a last one that says how they run here. */
  constructor(
    project: string,
    files: readonly string[],
    override: string,
    env: Readonly<Record<string, string>>,
    profiles: readonly string[] = [],
  ) {
    const last = join(DIRECTORY, `${project}.yaml`);
    writeFileSync(last, override);
    this.#args = [
      ...['compose', '--ansi', 'never', '--project-name', project, '--project-directory', `${ROOT}compose`],
      ...profiles.flatMap((profile) => ['--profile', profile]),
      ...files.flatMap((file) => ['--file', `${ROOT}compose/${file}`]),
      ...['--file', last],
    ];
    this.#env = { ...DOCKER_ENV, ...env };
  }

  async run(...args: string[]): Promise<string> {
    return await must(join(DIRECTORY, 'docker/usr/bin/docker'), [...this.#args, ...args], {
      env: this.#env,
      timeout: 300,
    });
  }

  async up(): Promise<void> {
    try {
      await this.run('up', '--build', '--detach', '--wait', '--wait-timeout', '120', '--pull', 'never');
    } catch (error) {
      const logs = await this.logs();
      await this.down();
      throw new Error(`${(error as Error).message}\n${logs}`);
    }
  }

  async logs(...services: string[]): Promise<string> {
    return await this.run('logs', '--no-color', '--tail', '200', ...services);
  }

  async down(): Promise<Result> {
    const args = [...this.#args, 'down', '--volumes', '--timeout', '5'];
    return await run(join(DIRECTORY, 'docker/usr/bin/docker'), args, { env: this.#env, timeout: 120 });
  }
}
