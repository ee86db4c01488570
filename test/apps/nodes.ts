/** On which of the Node.js releases a run tries things. */
import type { NodeRelease } from './install.ts';

/** `APPS_NODE=26` or `APPS_NODE=22,24` names major versions; all where it is not set. */
export function nodesWanted(nodes: readonly NodeRelease[]): readonly NodeRelease[] {
  const majors = process.env.APPS_NODE?.split(',').map(Number);
  return majors === undefined ? nodes : nodes.filter(({ major }) => majors.includes(major));
}
