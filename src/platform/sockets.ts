/**
 * The arbiter's listening sockets: bound once, held for good, lent to workers.
 *
 * A TCP address is one SO_REUSEPORT socket a worker slot (socket(7)), a unix path one shared socket, or one a slot
 * where it contains `{slot}`. The arbiter never accepts. It holds every descriptor until the drain lets go of them, so
 * no accept queue dies with a worker.
 */
import { lookup } from 'node:dns/promises';
import type { Stats } from 'node:fs';
import net from 'node:net';
import { dirname } from 'node:path';
import { type BindAddress, formatBindAddress } from '../config/bind-address.ts';
import { cannotBind } from './cannot-bind.ts';
import { existsSync, lstatSync, unlinkSync } from './node-fs.ts';
import { BindError, bindTcp, bindUnix, openDescriptor, REUSE_PORT, type SocketHandle } from './socket-handle.ts';
import { inThread } from './thread-writes.ts';

export interface ListenerOptions {
  /** One SO_REUSEPORT socket a slot on TCP; otherwise one shared. */
  readonly reusePort: boolean;
  /** Mode of unix sockets, for example 0o666. */
  readonly socketMode: number;
}

/** One listening socket. `slot` is undefined where all workers share it. */
export interface Listener {
  readonly key: string;
  readonly slot: number | undefined;
  readonly handle: SocketHandle;
  /** For people: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  readonly url: string;
  /** The file of a unix socket that this process made. */
  readonly file?: SocketFile;
}

interface SocketFile {
  readonly path: string;
  readonly identity: string | undefined;
}

/** An address with its port settled: 0 becomes the port that the first socket got. */
interface Endpoint {
  readonly index: number;
  readonly perSlot: boolean;
  readonly open: (slot: number) => Promise<Opened>;
}

type Opened = Pick<Listener, 'handle' | 'url' | 'file'>;

export class Listeners {
  readonly #endpoints: Endpoint[] = [];
  readonly #listeners: Listener[] = [];
  readonly #options: ListenerOptions;
  #slots = 0;
  #released = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Binds every address for slots 0 to `slots - 1`. Throws HaltServer (69) with the address and the reason. */
  async bind(addresses: readonly BindAddress[], slots: number): Promise<void> {
    for (const address of addresses) {
      const endpoint = await this.#endpoint(address, this.#endpoints.length);
      this.#endpoints.push(endpoint);
      if (!endpoint.perSlot) await this.#open(endpoint, undefined);
    }
    await this.ensureSlots(slots);
  }

  /** Opens the sockets of slots that are not there yet. A slot once open is never closed before {@link release}. */
  async ensureSlots(slots: number): Promise<void> {
    for (; this.#slots < slots; this.#slots++) {
      for (const endpoint of this.#endpoints) if (endpoint.perSlot) await this.#open(endpoint, this.#slots);
    }
  }

  /** What a worker in `slot` accepts on: its own sockets and the shared ones. */
  of(slot: number): Listener[] {
    return this.#listeners.filter((l) => l.slot === undefined || l.slot === slot);
  }

  /** The sockets that belong to `slot` alone. */
  ownedBy(slot: number): Listener[] {
    return this.#listeners.filter((l) => l.slot === slot);
  }

  get(key: string): Listener | undefined {
    return this.#listeners.find((l) => l.key === key);
  }

  /** All sockets by a name that is the same after a restart: the address, and the slot where that does not have it. */
  get sockets(): { readonly label: string; readonly fd: number }[] {
    return this.#listeners.map(({ url, slot, handle, file }) => {
      const address = url.replace(/^http:\/\//, '');
      return { label: slot === undefined || file ? address : `${address}/${slot}`, fd: handle.fd };
    });
  }

  /** One line an address, without repeats. */
  get urls(): string[] {
    return [...new Set(this.#listeners.map((l) => l.url))];
  }

  /** The TCP ports, without repeats. */
  get ports(): number[] {
    return [...new Set(this.#listeners.flatMap(({ handle }) => portOf(handle) ?? []))];
  }

  /**
   * Lets go of every descriptor. libuv removes the file of a unix socket as it closes it; where another server has put
   * its own there since, that one stays, and ours goes with this process. Idempotent.
   */
  release(): void {
    this.#released = true;
    for (const { handle, file } of this.#listeners.splice(0)) {
      const now = file && fileIdentity(file.path);
      if (now === undefined || now === file?.identity) handle.close();
    }
  }

  async #open(endpoint: Endpoint, slot: number | undefined): Promise<void> {
    const opened = await endpoint.open(slot ?? 0);
    if (this.#released) return opened.handle.close(); // a stop while it starts
    this.#listeners.push({ key: `${endpoint.index}/${slot ?? 'shared'}`, slot, ...opened });
  }

  async #endpoint(address: BindAddress, index: number): Promise<Endpoint> {
    switch (address.kind) {
      case 'tcp':
        return this.#tcpEndpoint(address, index);
      case 'unix': {
        const perSlot = address.path.includes('{slot}');
        return { index, perSlot, open: (slot) => this.#openUnix(address.path.replaceAll('{slot}', String(slot))) };
      }
      case 'fd':
        return { index, perSlot: false, open: async () => bound(address, () => openDescriptor(address.fd)) };
      default:
        return address satisfies never;
    }
  }

  async #tcpEndpoint(address: BindAddress & { kind: 'tcp' }, index: number): Promise<Endpoint> {
    const { address: ip, family } = await resolve(address);
    // With SO_REUSEPORT a second server of the same user could join the port unseen. A socket without the option is
    // refused as it should be, and tells which port 0 became.
    const probe = bound(address, () => bindTcp(ip, address.port, family, 0));
    const settled = { ...address, port: portOf(probe.handle) ?? address.port };
    if (!this.#options.reusePort) {
      return { index, perSlot: false, open: async () => ({ ...probe, url: urlOf(settled) }) };
    }
    probe.handle.close();
    return {
      index,
      perSlot: true,
      open: async () => bound(settled, () => bindTcp(ip, settled.port, family, REUSE_PORT)),
    };
  }

  async #openUnix(path: string): Promise<Opened> {
    const address: BindAddress = { kind: 'unix', path };
    await makeWay(path);
    // libuv reports a missing directory as EACCES.
    if (!existsSync(dirname(path))) throw cannotBind(address, 'ENOENT');
    // The mode is right from the first moment: a chmod afterwards would leave a gap.
    const before = process.umask(0o777 & ~this.#options.socketMode);
    try {
      const opened = bound(address, () => bindUnix(path));
      return { ...opened, file: { path, identity: fileIdentity(path) } };
    } finally {
      process.umask(before);
    }
  }
}

/**
 * Sockets handed over by systemd or another supervisor (sd_listen_fds(3)): descriptors 3 to 3 + LISTEN_FDS - 1, meant
 * for us only if LISTEN_PID is our pid. They take the place of the configured addresses.
 */
export function inheritedSockets(env: Readonly<Record<string, string | undefined>>, pid: number): BindAddress[] {
  if (env.LISTEN_PID !== String(pid)) return [];
  const count = /^\d{1,4}$/.test(env.LISTEN_FDS ?? '') ? Number(env.LISTEN_FDS) : 0;
  return Array.from({ length: count }, (_, i) => ({ kind: 'fd' as const, fd: 3 + i }));
}

function bound(address: BindAddress, open: () => SocketHandle): Opened {
  try {
    return { handle: open(), url: urlOf(address) };
  } catch (error) {
    throw cannotBind(address, error instanceof BindError ? error.code : String(error));
  }
}

async function resolve(address: BindAddress & { kind: 'tcp' }): Promise<{ address: string; family: 4 | 6 }> {
  try {
    const found = await inThread(lookup(address.host));
    return { address: found.address, family: found.family === 6 ? 6 : 4 };
  } catch (error) {
    throw cannotBind(address, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

/** Removes a stale socket file; refuses a live socket and anything that is not a socket. */
async function makeWay(path: string): Promise<void> {
  const address = { kind: 'unix', path } as const;
  const stat = statOf(address);
  if (!stat) return;
  if (!stat.isSocket()) throw cannotBind(address, 'a file that is not a socket is in the way; it was left alone');
  if (await answers(path)) throw cannotBind(address, 'EADDRINUSE');
  unlinkSync(path);
}

function statOf(address: BindAddress & { kind: 'unix' }): Stats | undefined {
  try {
    return lstatSync(address.path, { throwIfNoEntry: false });
  } catch (error) {
    throw cannotBind(address, (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  return promise.finally(() => socket.destroy());
}

/** An inode's number is used again at once, so its birth counts too. */
function fileIdentity(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev} ${stat.ino} ${stat.birthtimeNs}`;
}

/** undefined for a unix socket. */
function portOf(handle: SocketHandle): number | undefined {
  const at: { port?: number } = {};
  handle.getsockname?.(at);
  return at.port;
}

function urlOf(address: BindAddress): string {
  return address.kind === 'tcp' ? `http://${formatBindAddress(address)}` : formatBindAddress(address);
}
