import type { Effective } from '../config/render.ts';
import { SETTINGS, type Settings } from '../config/settings.ts';
import type { Sizing } from '../sizing.ts';

/** What sizing made of the settings that left it the choice. */
export function effectiveSettings(settings: Settings, sizing: Sizing): Effective {
  const effective: Effective = {};
  if (settings.workers === 'auto') effective.workers = { value: String(sizing.workers), origin: 'cgroup' };
  if (settings.workerHeap === 'auto' && sizing.heapBytes !== undefined) {
    effective.workerHeap = { value: SETTINGS.workerHeap.parser.format(sizing.heapBytes), origin: 'cgroup' };
  }
  if (settings.maxWorkerRss === 'auto' && sizing.maxRss !== undefined) {
    effective.maxWorkerRss = { value: SETTINGS.maxWorkerRss.parser.format(sizing.maxRss), origin: 'cgroup' };
  }
  return effective;
}
