/** `TSUNICORN_USER` and `TSUNICORN_GROUP`, the user and group of the workers: names or numbers (passwd(5), group(5)). */
import { ConfigError } from '../errors.ts';
import { fileReader } from './kernel/read-file.ts';
import { closeSync, constants, fchownSync, fstatSync, openSync } from './node-fs.ts';

export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/** Throws ConfigError for an unknown name. */
export function identityOf(user: string | undefined, group: string | undefined): Identity {
  const account = user === undefined ? undefined : find('/etc/passwd', user, 'TSUNICORN_USER');
  const own = group === undefined ? undefined : find('/etc/group', group, 'TSUNICORN_GROUP');
  // The user's own group unless TSUNICORN_GROUP names another, as login(1) does.
  const gid = own?.id ?? account?.gid;
  return { ...(account && { uid: account.id }), ...(gid !== undefined && { gid }) };
}

/**
 * Lets workers of another user write a log: creates the file if it is missing, and gives it to them if they may not
 * write it. Never through a symbolic link, and no file with a second name: in a directory of the workers those could
 * lead to any file. On failure the worker says why it cannot open its log.
 */
export function handOverLog(path: string, { uid, gid }: Identity): void {
  if (uid === undefined || uid === process.geteuid?.()) return; // workers of root open everything
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOFOLLOW } = constants;
  let fd: number | undefined;
  try {
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOFOLLOW, 0o666); // the umask decides
    const stat = fstatSync(fd);
    const writable = stat.uid === uid ? 0o200 : stat.gid === (gid ?? process.getegid?.()) ? 0o020 : 0o002;
    if (!stat.isFile() || stat.nlink > 1 || (stat.mode & writable) !== 0) return;
    fchownSync(fd, uid, gid ?? stat.gid);
  } catch {
    // EPERM: no right to give files away; ELOOP: a link
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function find(file: string, name: string, variable: string): { id: number; gid: number | undefined } {
  const rows = (fileReader()(file) ?? '').split('\n').map((line) => line.split(':'));
  const row = rows.find((fields) => fields.length > 2 && (fields[0] === name || fields[2] === name));
  if (row) return { id: Number(row[2]), gid: file === '/etc/passwd' ? Number(row[3]) : undefined };
  if (/^\d+$/.test(name)) return { id: Number(name), gid: undefined };
  throw new ConfigError([
    { name: variable, value: name, message: `not in ${file}: use a name from there, or a number` },
  ]);
}
