/**
 * The directories that hold the limits and counters of this process's cgroup, nearest first: v1, v2 and hybrid, with
 * and without a cgroup namespace. cgroups(7), cgroup_namespaces(7)
 */
import { join } from 'node:path/posix';
import type { ReadFile } from './read-file.ts';

type Controller = 'cpu' | 'cpuset' | 'memory';

/** `hybrid`: the controllers are on v1 mounts, with an empty v2 tree beside them, as systemd long set it up. */
export type CgroupKind = 'v1' | 'v2' | 'hybrid' | 'none';

export interface Group {
  readonly version: 1 | 2;
  /** As the process sees them: its own group first, then every ancestor that the mount shows. */
  readonly directories: readonly [string, ...string[]];
}

export interface Cgroup extends Readonly<Record<Controller, Group | undefined>> {
  readonly kind: CgroupKind;
}

/** One line of /proc/self/mountinfo. proc_pid_mountinfo(5) */
interface Mount {
  /** The directory of the file system that the mount point shows: not `/` for a bind mount of a subtree. */
  readonly root: string;
  readonly mountPoint: string;
  /** `cgroup` is v1, `cgroup2` is v2. */
  readonly type: string;
  /** Options of the file system; on cgroup v1 they include the names of its controllers. */
  readonly superOptions: readonly string[];
}

/** The groups of the calling process. Without a cgroup mount or /proc: kind `none`, no groups. */
export function findCgroup(read: ReadFile): Cgroup {
  const mounts = parseMountinfo(read('/proc/self/mountinfo') ?? '');
  const paths = parseGroupPaths(read('/proc/self/cgroup') ?? '');
  const v2 = mounts.filter(({ type }) => type === 'cgroup2');
  const v1 = (controller: Controller): Mount[] =>
    mounts.filter(({ type, superOptions }) => type === 'cgroup' && superOptions.includes(controller));
  // A controller belongs to one hierarchy at a time, and a v1 mount claims it.
  const find = (controller: Controller): Group | undefined =>
    locate(1, v1(controller), paths.get(controller)) ?? locate(2, v2, paths.get(''));

  const groups = { cpu: find('cpu'), cpuset: find('cpuset'), memory: find('memory') };
  const hasV1 = Object.values(groups).some((group) => group?.version === 1);
  const kind = hasV1 ? (v2.length > 0 ? 'hybrid' : 'v1') : v2.length > 0 ? 'v2' : 'none';
  return { kind, ...groups };
}

/** The kernel writes space, tab, newline, backslash and `#` as a backslash and three octal digits. */
const unmangle = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** All mounts in the kernel's order; malformed lines are skipped. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    // 36 35 98:0 /root /mount/point rw,noatime master:1 - type source superoptions; any number of fields before the dash
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, mountPoint] = before.split(' ');
    const [type, , superOptions] = after.split(' ');
    if (root === undefined || mountPoint === undefined || type === undefined || superOptions === undefined) return [];
    return [{ root: unmangle(root), mountPoint: unmangle(mountPoint), type, superOptions: superOptions.split(',') }];
  });
}

/** Controller → path, from `4:cpu,cpuacct:/docker/ab` lines; v2 (`0::/path`) has the empty name. A path may have colons. */
function parseGroupPaths(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(',')) paths.set(controller, path);
  }
  return paths;
}

/** @param path the group's path in its hierarchy, relative to the cgroup namespace, as is a mount's root */
function locate(version: 1 | 2, mounts: readonly Mount[], path = '/'): Group | undefined {
  for (const { root, mountPoint } of mounts) {
    const rest = below(root, path);
    if (rest !== undefined) return { version, directories: upwards(mountPoint, rest) };
  }
  // No mount shows the own group: it is outside the namespace, or the mount is of another tree. The mount is still the
  // best guess, since container runtimes mount the container's group.
  const [first] = mounts;
  return first && { version, directories: [first.mountPoint] };
}

/**
 * `path` relative to a mount of `root`; undefined if it is outside. Without a cgroup namespace a v1 container reads its
 * host path (`/docker/ab`) while the mount shows only that directory. A path that climbs (`/../sibling`) would leave
 * the mount.
 */
function below(root: string, path: string): string | undefined {
  const prefix = root === '/' ? '' : root;
  if (path !== root && !path.startsWith(`${prefix}/`)) return undefined;
  const rest = path.slice(prefix.length);
  return rest.split('/').includes('..') ? undefined : rest;
}

/** `mountPoint/a/b`, `mountPoint/a`, `mountPoint`. */
function upwards(mountPoint: string, rest: string): [string, ...string[]] {
  const directories: [string, ...string[]] = [mountPoint];
  for (const name of rest.split('/').filter(Boolean)) directories.unshift(join(directories[0], name));
  return directories;
}
