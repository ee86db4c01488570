/**
 * Where this process's cgroup is: which directories hold its limits and its counters, nearest first.
 * v1, v2 and hybrid, with and without a cgroup namespace. cgroups(7), cgroup_namespaces(7)
 */
import { join } from 'node:path/posix';
import { type Mount, parseMountinfo } from './mountinfo.ts';
import type { ReadFile } from './read-file.ts';

export type Controller = 'cpu' | 'cpuset' | 'memory';

/** `hybrid`: the controllers are on v1 mounts and an empty v2 tree is mounted beside them, as systemd did for years. */
export type CgroupKind = 'v1' | 'v2' | 'hybrid' | 'none';

/** The process's group in one hierarchy. */
export interface Group {
  readonly version: 1 | 2;
  /** Directories as the process sees them: its own group first, then every ancestor that the mount shows. */
  readonly directories: readonly [string, ...string[]];
}

export interface Cgroup extends Readonly<Record<Controller, Group | undefined>> {
  readonly kind: CgroupKind;
}

/** Finds the group of the calling process. Nothing mounted, no /proc or another system: kind `none`, no groups. */
export function findCgroup(read: ReadFile): Cgroup {
  const mounts = parseMountinfo(read('/proc/self/mountinfo') ?? '');
  const paths = parseGroupPaths(read('/proc/self/cgroup') ?? '');
  const v2 = mounts.filter(({ type }) => type === 'cgroup2');
  const v1 = (controller: Controller): Mount[] =>
    mounts.filter(({ type, superOptions }) => type === 'cgroup' && superOptions.includes(controller));
  // A controller is bound to one hierarchy at a time, and v1 takes it by mounting it.
  const find = (controller: Controller): Group | undefined =>
    locate(1, v1(controller), paths.get(controller)) ?? locate(2, v2, paths.get(''));

  const groups = { cpu: find('cpu'), cpuset: find('cpuset'), memory: find('memory') };
  const hasV1 = Object.values(groups).some((group) => group?.version === 1);
  const kind = hasV1 ? (v2.length > 0 ? 'hybrid' : 'v1') : v2.length > 0 ? 'v2' : 'none';
  return { kind, ...groups };
}

/** Controller to path, from `4:cpu,cpuacct:/docker/ab` lines; v2 (`0::/path`) is under the empty name. A path may hold colons. */
function parseGroupPaths(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(',')) paths.set(controller, path);
  }
  return paths;
}

/**
 * @param path the group's path in its hierarchy, relative to the cgroup namespace like the mounts' root field.
 */
function locate(version: 1 | 2, mounts: readonly Mount[], path = '/'): Group | undefined {
  for (const { root, mountPoint } of mounts) {
    const rest = below(root, path);
    if (rest !== undefined) return { version, directories: upwards(mountPoint, rest) };
  }
  // No mount shows the own group (it lies outside the namespace, or a stranger's tree is mounted). What is mounted is
  // still the best witness: a container's runtime mounts the container's group.
  const [first] = mounts;
  return first && { version, directories: [first.mountPoint] };
}

/**
 * `path` as seen below a mount of `root`, or undefined if it is not there. Without a cgroup namespace a v1 container
 * reads its host path (`/docker/ab`) while the mount shows just that directory, so the root comes off. A path that
 * still climbs (`/../sibling`) would lead out of the mount into some other directory.
 */
function below(root: string, path: string): string | undefined {
  const prefix = root === '/' ? '' : root;
  if (path !== root && !path.startsWith(`${prefix}/`)) return undefined;
  const rest = path.slice(prefix.length);
  return rest.split('/').includes('..') ? undefined : rest;
}

/** `mountPoint/a/b`, `mountPoint/a`, `mountPoint`. */
function upwards(mountPoint: string, rest: string): [string, ...string[]] {
  const names = rest.split('/').filter((name) => name !== '');
  const directories: [string, ...string[]] = [mountPoint];
  for (const name of names) directories.unshift(join(directories[0], name));
  return directories;
}
