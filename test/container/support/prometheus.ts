/** The Prometheus of this machine's Debian package, scraping one server every second. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, request } from '../../support/server.ts';
import { waitFor } from '../../support/wait.ts';

export interface Result {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** As the API has it. */
export interface Rule {
  readonly name: string;
  readonly health: 'ok' | 'err' | 'unknown';
  readonly lastError?: string;
}

export class Prometheus {
  readonly #port: number;
  readonly #child: ChildProcess;
  #log = '';

  private constructor(port: number, child: ChildProcess) {
    this.#port = port;
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
  }

  /** `t.after` ends it. `target` is host and port, `rules` files. */
  static async start(
    t: { after(fn: () => unknown): void },
    target: string,
    rules: readonly string[] = [],
  ): Promise<Prometheus> {
    const directory = mkdtempSync(join(tmpdir(), 'tsunicorn-prometheus-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const config = join(directory, 'prometheus.yml');
    writeFileSync(
      config,
      `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: ${JSON.stringify(rules)}
scrape_configs:
  - job_name: tsunicorn
    static_configs: [{ targets: ["${target}"] }]
`,
    );
    const port = await freePort();
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    const child = spawn('prometheus', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const prometheus = new Prometheus(port, child);
    t.after(() => prometheus.#stop());
    await waitFor(
      'Prometheus has scraped',
      async () => (await prometheus.query('up').catch(() => []))[0]?.value === 1,
      { seconds: 60, state: () => prometheus.#log.slice(-2000) },
    );
    return prometheus;
  }

  async query(text: string): Promise<Result[]> {
    const { result } = await this.#get<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
      `query?query=${encodeURIComponent(text)}`,
    );
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async rules(): Promise<Rule[]> {
    const { groups } = await this.#get<{ groups: { rules: Rule[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async #get<T>(what: string): Promise<T> {
    const { body } = await request({ host: '127.0.0.1', port: this.#port, path: `/api/v1/${what}` });
    const { status, error, data } = JSON.parse(body);
    if (status !== 'success') throw new Error(`${what}: ${error}`);
    return data;
  }

  /** The value of a query that has one. */
  async value(text: string): Promise<number> {
    return (await this.query(text))[0]?.value ?? Number.NaN;
  }

  async #stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
