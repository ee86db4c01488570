/**
 * A pod of the rendered production overlay under `podman kube play`, and what the kubelet does that podman 4.3 does not:
 * readiness and startup probes, and native sidecars, which podman would run to their end before the app. nginx is an
 * ordinary container here, and the order in which the kubelet stops the two is kept by {@link Pod.terminate}.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Container,
  containersOf,
  type Deployment,
  find,
  type Manifest,
  type Probe,
} from '../../k8s/support/manifests.ts';
import { freePort, request } from '../../support/server.ts';
import { waitFor } from '../../support/wait.ts';
import type { Balancer, Endpoint } from './balancer.ts';
import { DIRECTORY } from './machine.ts';
import { forPodman, onThisMachine, type PodOptions } from './pod-manifests.ts';
import { type Cleaner, later, podman, tryPodman } from './podman.ts';

export interface Termination {
  readonly appExit: number;
  readonly nginxExit: number;
  /** When the containers ended, in milliseconds of the epoch. */
  readonly appEnded: number;
  readonly nginxEnded: number;
  readonly seconds: number;
}

let count = 0;

export class Pod implements Endpoint {
  readonly name: string;
  readonly port: number;
  readonly adminPort: number;
  readonly #manifests: readonly Manifest[];
  readonly #balancers = new Set<Balancer>();
  #terminating = false;
  #watching = true;
  /** Answers of the liveness probes that were not 200, each with its container. */
  readonly livenessFailures: string[] = [];

  private constructor(name: string, ports: { http: number; admin: number }, manifests: readonly Manifest[]) {
    this.name = name;
    this.port = ports.http;
    this.adminPort = ports.admin;
    this.#manifests = manifests;
  }

  get #spec() {
    return find<Deployment>(this.#manifests, 'Deployment', this.name).spec.template.spec;
  }

  /** Plays the manifests, with ports and images of this machine; resolves when the startup probe has passed. */
  static async start(t: Cleaner, manifests: readonly Manifest[], options: PodOptions = {}): Promise<Pod> {
    const ports = { http: await freePort(), admin: await freePort() };
    const name = `tsunicorn-${process.pid}-pod-${++count}`;
    const pod = new Pod(name, ports, onThisMachine(manifests, name, ports, options));
    const file = pod.#file('');
    writeFileSync(file, forPodman(pod.#manifests));
    later(t, () => pod.#remove());
    await pod.#createSecret();
    await podman('kube', 'play', '--network=host', file);
    for (const container of containersOf(pod.#spec)) await pod.#startup(container);
    void pod.#watch();
    return pod;
  }

  container(name: string): string {
    return `${this.name}-pod-0-${name}`;
  }

  /** Both streams, in the order of time. */
  async logs(container: string): Promise<string> {
    const { stdout, stderr } = await tryPodman(['logs', '--timestamps', this.container(container)]);
    const lines = `${stdout}\n${stderr}`.split('\n').filter(Boolean).sort();
    return lines.map((line) => line.slice(line.indexOf(' ') + 1)).join('\n');
  }

  get terminationGracePeriodSeconds(): number {
    return this.#spec.terminationGracePeriodSeconds ?? 30;
  }

  /** From now on the balancer has this pod in its list whenever it is ready. Resolves when it is. */
  async join(balancer: Balancer): Promise<void> {
    await waitFor(`${this.name} is ready`, () => this.ready(), { seconds: 60 });
    balancer.add(this);
    this.#balancers.add(balancer);
  }

  /** Whether the readiness probe of every container passes now. */
  async ready(): Promise<boolean> {
    const results = await Promise.all(
      containersOf(this.#spec).map(({ name, readinessProbe }) => this.#probe(name, readinessProbe)),
    );
    return results.every(Boolean);
  }

  /**
   * As when the pod is deleted: the balancers are told, and hear of it `lag` seconds later; the app gets SIGTERM; the
   * sidecar is stopped when the app has ended, within what is left of the grace period.
   */
  async terminate({ lag = 0 } = {}): Promise<Termination> {
    this.#terminating = true;
    const started = performance.now();
    const told = sleep(lag * 1000).then(() => {
      for (const balancer of this.#balancers) balancer.remove(this);
    });
    const left = () =>
      Math.max(2, Math.ceil(this.terminationGracePeriodSeconds - (performance.now() - started) / 1000));
    await tryPodman(['stop', `--time=${left()}`, this.container('app')], { timeout: left() + 30 });
    // The kubelet asks no more once a container has ended; a probe that was on its way has not failed.
    this.#watching = false;
    await tryPodman(['stop', `--time=${left()}`, this.container('nginx')], { timeout: left() + 30 });
    const seconds = (performance.now() - started) / 1000;
    await told;
    const [app, nginx] = [await this.#ended('app'), await this.#ended('nginx')];
    return { appExit: app.code, appEnded: app.at, nginxExit: nginx.code, nginxEnded: nginx.at, seconds };
  }

  #container(name: string): Container {
    const found = containersOf(this.#spec).find((container) => container.name === name);
    if (!found) throw new Error(`no container ${name}`);
    return found;
  }

  async #startup({ name, startupProbe }: Container): Promise<void> {
    if (!startupProbe) return;
    for (let tries = 0; !(await this.#probe(name, startupProbe)); tries++) {
      const restarts = Number(await podman('inspect', '--format={{.RestartCount}}', this.container(name)));
      if (tries >= startupProbe.failureThreshold || restarts > 2) {
        throw new Error(`the startup probe of ${name} failed\n${(await this.logs(name)).slice(-4000)}`);
      }
      await sleep(startupProbe.periodSeconds * 1000);
    }
  }

  /** The probes that go on while the pod lives: readiness decides about the balancers, liveness must never fail. */
  async #watch(): Promise<void> {
    const loops = containersOf(this.#spec).flatMap(({ name, readinessProbe, livenessProbe }) => [
      this.#loop(readinessProbe, async (probe) => {
        const passed = (await this.#probe(name, probe)) && (await this.ready());
        if (this.#terminating) return; // the balancers hear of that, later
        for (const balancer of this.#balancers) {
          if (passed) balancer.add(this);
          else balancer.remove(this);
        }
      }),
      this.#loop(livenessProbe, async (probe) => {
        if (!(await this.#probe(name, probe)) && this.#watching) this.livenessFailures.push(name);
      }),
    ]);
    await Promise.all(loops);
  }

  async #loop(probe: Probe | undefined, ask: (probe: Probe) => Promise<void>): Promise<void> {
    if (!probe) return;
    for (;;) {
      await sleep(probe.periodSeconds * 1000, undefined, { ref: false });
      if (!this.#watching) return;
      await ask(probe);
    }
  }

  /** As the kubelet asks: the port by its name among the container's own, any status from 200 to 399. */
  async #probe(name: string, probe: Probe | undefined): Promise<boolean> {
    if (!probe) return true;
    const { path, port } = probe.httpGet;
    const number = this.#container(name).ports?.find((own) => own.name === port)?.containerPort ?? Number(port);
    const signal = AbortSignal.timeout(probe.timeoutSeconds * 1000);
    const answer = await request({ host: '127.0.0.1', port: number, path, signal }).catch(() => undefined);
    return answer !== undefined && answer.status >= 200 && answer.status < 400;
  }

  /** Podman 4.3 does not decode what a Secret contains. */
  async #createSecret(): Promise<void> {
    const secret = this.#manifests.find(({ kind }) => kind === 'Secret');
    const entries = Object.entries((secret?.data ?? {}) as Record<string, string>);
    const data = Object.fromEntries(entries.map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]));
    const file = this.#file('-secret');
    writeFileSync(file, JSON.stringify({ ...secret, data }), { mode: 0o600 });
    await podman('secret', 'create', this.name, file);
  }

  async #ended(name: string): Promise<{ code: number; at: number }> {
    const format = '{{.State.ExitCode}} {{.State.FinishedAt.UnixMilli}}';
    const [code, at] = (await podman('inspect', `--format=${format}`, this.container(name))).trim().split(' ');
    return { code: Number(code), at: Number(at) };
  }

  #file(what: string): string {
    return join(DIRECTORY, `${this.name}${what}.json`);
  }

  async #remove(): Promise<void> {
    this.#watching = false;
    for (const what of ['', '-secret']) rmSync(this.#file(what), { force: true });
    await tryPodman(['pod', 'rm', '--force', '--time=1', `${this.name}-pod-0`]);
    await tryPodman(['secret', 'rm', this.name]);
    const emptyDirs = (this.#spec.volumes ?? []).filter(({ emptyDir }) => emptyDir).map(({ name }) => name);
    await tryPodman(['volume', 'rm', this.name, ...emptyDirs]);
  }
}
