/** One line of /proc/self/mountinfo, as far as finding a cgroup needs it. proc_pid_mountinfo(5) */
export interface Mount {
  /** Directory of the file system that the mount point shows. Not `/` for a bind mount of a subtree. */
  readonly root: string;
  readonly mountPoint: string;
  /** `cgroup` is v1, `cgroup2` is v2. */
  readonly type: string;
  /** Options of the file system itself; on cgroup v1 the names of its controllers are among them. */
  readonly superOptions: readonly string[];
}

/** Space, tab, newline, backslash and `#` stand in mountinfo as a backslash and three octal digits. */
const unmangle = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** All mounts in the kernel's order. Lines that are none are left out. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    // 36 35 98:0 /root /mount/point rw,noatime master:1 - type source superoptions: any number of fields before the dash
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, mountPoint] = before.split(' ');
    const [type, , superOptions] = after.split(' ');
    if (root === undefined || mountPoint === undefined || type === undefined || superOptions === undefined) return [];
    return [{ root: unmangle(root), mountPoint: unmangle(mountPoint), type, superOptions: superOptions.split(',') }];
  });
}
