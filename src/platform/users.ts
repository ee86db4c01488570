/** `TSUNICORN_USER` and `TSUNICORN_GROUP`, the user and group of the workers: names or numbers (passwd(5), group(5)). */
import { ConfigError } from '../errors.ts';
import { readFileSync } from './node-fs.ts';

/** Throws ConfigError for an unknown name. */
export function identityOf(user: string | undefined, group: string | undefined): { uid?: number; gid?: number } {
  const account = user === undefined ? undefined : find('/etc/passwd', user, 'TSUNICORN_USER');
  const own = group === undefined ? undefined : find('/etc/group', group, 'TSUNICORN_GROUP');
  // The user's own group unless TSUNICORN_GROUP names another, as login(1) does.
  const gid = own?.id ?? account?.gid;
  return { ...(account && { uid: account.id }), ...(gid !== undefined && { gid }) };
}

function find(file: string, name: string, variable: string): { id: number; gid: number | undefined } {
  const rows = readLines(file).map((line) => line.split(':'));
  const row = rows.find((fields) => fields.length > 2 && (fields[0] === name || fields[2] === name));
  if (row) return { id: Number(row[2]), gid: file === '/etc/passwd' ? Number(row[3]) : undefined };
  if (/^\d+$/.test(name)) return { id: Number(name), gid: undefined };
  throw new ConfigError([
    { name: variable, value: name, message: `not in ${file}: use a name from there, or a number` },
  ]);
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}
