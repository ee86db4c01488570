/** Which memory limit workers watch: the one in force. */
import type { Settings } from '../config/settings.ts';
import type { Limits } from '../platform/kernel/limits.ts';
import { type MemoryGroup, memoryGroup } from '../platform/kernel/memory.ts';
import type { WorkerProcess } from './worker-process.ts';

export class MemoryWatch {
  readonly #wanted: boolean;
  #group: MemoryGroup | undefined;

  constructor({ maxWorkerRss }: Pick<Settings, 'maxWorkerRss'>, limits: Limits) {
    // Whoever does not want workers to be replaced for their size does not want them to hold either.
    this.#wanted = maxWorkerRss !== 'off';
    this.#group = this.#groupOf(limits);
  }

  /** For a worker that is about to start. */
  get watched(): MemoryGroup | undefined {
    return this.#group;
  }

  /** The limits as they are now: workers are told where the one for memory is another. */
  look(limits: Limits, workers: Iterable<WorkerProcess>): void {
    const group = this.#groupOf(limits);
    if (group?.limitBytes === this.#group?.limitBytes && group?.usageFile === this.#group?.usageFile) return;
    this.#group = group;
    for (const worker of workers) worker.send({ type: 'memory', memory: group });
  }

  #groupOf(limits: Limits): MemoryGroup | undefined {
    return this.#wanted ? memoryGroup(limits) : undefined;
  }
}
