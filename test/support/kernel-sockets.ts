/** Who has the connections to a port: a process, or the accept queue of a listening socket (/proc/net/tcp, proc(5)). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const ESTABLISHED = '01';
const LISTEN = '0A';

interface Row {
  readonly state: string;
  readonly received: number;
  /** 0 until a process has accepted it. */
  readonly inode: string;
}

/** IPv4 sockets with this port on their side. */
function rowsOf(port: number): Row[] {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, address]) => address?.endsWith(local))
    .map(([, , , state = '', queues = '', , , , , inode = '']) => ({
      state,
      received: Number.parseInt(queues.split(':')[1] ?? '0', 16),
      inode,
    }));
}

/** Established connections that the process has accepted. */
export function acceptedBy(pid: number, port: number): number {
  const own = new Set(rowsOf(port).flatMap(({ state, inode }) => (state === ESTABLISHED ? [`socket:[${inode}]`] : [])));
  return descriptorsOf(pid).filter((target) => own.has(target)).length;
}

/** Connections that no process has accepted; for a listening socket that is what `rx_queue` says. */
export function queuedAt(port: number): number {
  return rowsOf(port).reduce((sum, { state, received }) => sum + (state === LISTEN ? received : 0), 0);
}

function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
}
