/**
 * The arbiter's listening sockets: bound once, held until the drain, lent to workers. The arbiter never accepts, and no
 * accept queue dies with a worker.
 *
 * A TCP address has one SO_REUSEPORT socket per worker slot (socket(7)). A unix path has one shared socket, or one per
 * slot where it contains `{slot}`.
 */
import { lookup } from 'node:dns/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import { HaltServer } from '../errors.ts';
import { ABSTRACT, type BindAddress, formatBindAddress } from './address.ts';
import type { Native } from './native/native.ts';
import { existsSync, lstatSync, unlinkSync } from './node-fs.ts';
import { bindTcp, bindUnix, errnoError, openDescriptor, REUSE_PORT, type SocketHandle } from './socket-handle.ts';
import { encode, stickyProgram } from './sticky-filter.ts';
import { inThread } from './thread-writes.ts';

export interface ListenerOptions {
  /** TCP: one SO_REUSEPORT socket per slot; otherwise one shared socket. */
  readonly reusePort: boolean;
  /** Mode of unix sockets, for example 0o666. */
  readonly socketMode: number;
  /** `TSUNICORN_STICKY=ip`: {@link Listeners.stick} can be called. Needs `reusePort`. */
  readonly sticky?: StickyCalls | undefined;
}

export interface StickyCalls {
  readonly native: Pick<Native, 'listenWithoutAccepting' | 'attachReusePortFilter'>;
  readonly backlog: number;
}

export interface ListeningSocket {
  readonly key: string;
  /** Undefined where all workers share it. */
  readonly slot: number | undefined;
  readonly handle: SocketHandle;
  /** With those of the other slots (SO_REUSEPORT). */
  readonly sharesPort?: true;
  /** As logged: `http://127.0.0.1:8000`, `unix:/run/app.sock`. */
  readonly url: string;
  /** The file of a unix socket that this process created. */
  readonly file?: { readonly path: string; readonly identity: string | undefined };
}

/** An address with its port known: 0 has become the port that the kernel chose. */
interface Endpoint {
  readonly perSlot: boolean;
  readonly open: (slot: number) => Promise<Opened>;
}

type Opened = Pick<ListeningSocket, 'handle' | 'sharesPort' | 'url' | 'file'>;

export class Listeners {
  readonly #endpoints: Endpoint[] = [];
  readonly #listeners: ListeningSocket[] = [];
  readonly #options: ListenerOptions;
  #slots = 0;
  #stuckTo: number | undefined;
  #released = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Binds every address for slots 0 to `slots - 1`. Throws HaltServer (69) with the address and the reason. */
  async bind(addresses: readonly BindAddress[], slots: number): Promise<void> {
    for (const address of addresses) {
      const endpoint = await this.#endpoint(address);
      this.#endpoints.push(endpoint);
      if (!endpoint.perSlot) await this.#open(endpoint, undefined);
    }
    await this.ensureSlots(slots);
  }

  /** Opens the missing sockets of slots 0 to `slots - 1`. They stay open until {@link release}. */
  async ensureSlots(slots: number): Promise<void> {
    for (; this.#slots < slots; this.#slots++) {
      for (const endpoint of this.#endpoints) {
        // It is there already if the next address failed at the last try.
        if (endpoint.perSlot && !this.get(this.#key(endpoint, this.#slots))) await this.#open(endpoint, this.#slots);
      }
    }
  }

  /**
   * From now on each client's address decides which of slots 0 to `slots - 1` it gets, on all TCP addresses. Returns the
   * errno where the kernel refuses, else 0.
   *
   * The program answers with an index into the kernel's list of the sockets on the port. A socket is added to its end by
   * listen(2) (`inet_reuseport_add_sock`), so {@link Listeners} listens slot by slot, before any worker; and closing one
   * would move the last into its place, so none is closed before the release.
   */
  stick(slots: number): number {
    const { sticky } = this.#options;
    const first = this.#listeners.filter(({ slot, sharesPort }) => slot === 0 && sharesPort);
    if (!sticky || slots === this.#stuckTo) return 0;
    const program = encode(stickyProgram(slots));
    for (const { handle } of first) {
      const errno = sticky.native.attachReusePortFilter(handle.fd, program);
      if (errno !== 0) return errno;
    }
    this.#stuckTo = slots;
    return 0;
  }

  /** The sockets a worker in `slot` accepts on: its own and the shared ones. */
  of(slot: number): ListeningSocket[] {
    return this.#listeners.filter((l) => l.slot === undefined || l.slot === slot);
  }

  /** What a worker accepts on for `slot`: for its own all sockets, for another one those that this slot has to itself. */
  acceptedBy(worker: { readonly slot: number }, slot: number): ListeningSocket[] {
    return worker.slot === slot ? this.of(slot) : this.#listeners.filter((l) => l.slot === slot);
  }

  get(key: string): ListeningSocket | undefined {
    return this.#listeners.find((l) => l.key === key);
  }

  /** Labels are the same after a restart: the address, with the slot where several sockets have that address. */
  get sockets(): { readonly label: string; readonly fd: number }[] {
    return this.#listeners.map(({ url, slot, handle, file }) => {
      const address = url.replace(/^http:\/\//, '');
      return { label: slot === undefined || file ? address : `${address}/${slot}`, fd: handle.fd };
    });
  }

  /** Addresses on which any worker may get a connection. */
  get sharedUrls(): string[] {
    return this.#listeners.filter(({ slot }) => slot === undefined).map(({ url }) => url);
  }

  get urls(): string[] {
    return [...new Set(this.#listeners.map((l) => l.url))];
  }

  get ports(): number[] {
    return [...new Set(this.#listeners.flatMap(({ handle }) => portOf(handle) ?? []))];
  }

  /**
   * Closes every socket. Idempotent. libuv unlinks a unix socket's path on close. If another server has replaced the
   * file by its own, the handle is left to the end of this process, which unlinks nothing.
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
    this.#listeners.push({ key: this.#key(endpoint, slot), slot, ...opened });
  }

  #key(endpoint: Endpoint, slot: number | undefined): string {
    return `${this.#endpoints.indexOf(endpoint)}/${slot ?? 'shared'}`;
  }

  async #endpoint(address: BindAddress): Promise<Endpoint> {
    switch (address.kind) {
      case 'tcp':
        return this.#tcpEndpoint(address);
      case 'unix':
        return {
          perSlot: address.path.includes('{slot}'),
          open: (slot) => this.#openUnix(address.path.replaceAll('{slot}', String(slot))),
        };
      case 'fd':
        return { perSlot: false, open: async () => bind(address, () => openDescriptor(address.fd)) };
      default:
        return address satisfies never;
    }
  }

  async #tcpEndpoint(address: BindAddress & { kind: 'tcp' }): Promise<Endpoint> {
    const { address: ip, family } = await inThread(lookup(address.host)).catch((error) => {
      throw cannotBind(address, error);
    });
    // With SO_REUSEPORT a second server of the same user could join the port unnoticed. A probe without the option
    // fails with EADDRINUSE, and shows which port 0 became.
    const probe = bind(address, () => bindTcp(ip, address.port, family, 0));
    const settled = { ...address, port: portOf(probe.handle) ?? address.port };
    if (!this.#options.reusePort) return { perSlot: false, open: async () => ({ ...probe, url: urlOf(settled) }) };
    probe.handle.close();
    const open = (): SocketHandle => this.#listen(bindTcp(ip, settled.port, family, REUSE_PORT));
    return { perSlot: true, open: async () => ({ ...bind(settled, open), sharesPort: true }) };
  }

  #listen(handle: SocketHandle): SocketHandle {
    const { sticky } = this.#options;
    const errno = sticky?.native.listenWithoutAccepting(handle.fd, sticky.backlog) ?? 0;
    if (errno === 0) return handle;
    handle.close();
    throw errnoError(errno);
  }

  async #openUnix(path: string): Promise<Opened> {
    const address: BindAddress = { kind: 'unix', path };
    if (path.startsWith(ABSTRACT)) return bind(address, () => bindUnix(path)); // there is no file
    await removeStaleSocket(path);
    // libuv reports a missing directory as EACCES.
    if (!existsSync(dirname(path))) throw cannotBind(address, 'ENOENT');
    // bind(2) applies the umask. A chmod(2) afterwards would leave the socket open to others for a moment.
    const before = process.umask(0o777 & ~this.#options.socketMode);
    try {
      const opened = bind(address, () => bindUnix(path));
      return { ...opened, file: { path, identity: fileIdentity(path) } };
    } finally {
      process.umask(before);
    }
  }
}

/**
 * Sockets passed by systemd or another supervisor (sd_listen_fds(3)): descriptors 3 to 2 + LISTEN_FDS, valid only if
 * LISTEN_PID is our pid. They replace the configured addresses.
 */
export function inheritedSockets(env: Readonly<Record<string, string | undefined>>, pid: number): BindAddress[] {
  if (env.LISTEN_PID !== String(pid)) return [];
  const count = /^\d{1,4}$/.test(env.LISTEN_FDS ?? '') ? Number(env.LISTEN_FDS) : 0;
  return Array.from({ length: count }, (_, i) => ({ kind: 'fd' as const, fd: 3 + i }));
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use by another process (EADDRINUSE)',
  EADDRNOTAVAIL: 'this machine does not have that address (EADDRNOTAVAIL)',
  EACCES: 'permission denied (EACCES): a port below 1024 needs CAP_NET_BIND_SERVICE, a socket a writable directory',
  ENOENT: 'the directory of the socket does not exist (ENOENT)',
  ENOTDIR: 'the directory of the socket is not a directory (ENOTDIR)',
  EROFS: 'the file system is read-only (EROFS): mount a writable volume there',
  ENOTFOUND: 'the host name cannot be resolved (ENOTFOUND)',
  EAI_AGAIN: 'the name server did not answer, so the host name cannot be resolved (EAI_AGAIN)',
  EAI_FAIL: 'the name server failed to resolve the host name (EAI_FAIL)',
  EBADF: 'there is no such open descriptor (EBADF): the parent process has to pass it',
  ENOTSOCK: 'the descriptor is not a socket (ENOTSOCK)',
  EINVAL: 'the descriptor is not a stream socket (EINVAL)',
};

/** @param problem an error code, an error that has one, or a reason in words */
function cannotBind(address: BindAddress, problem: unknown): HaltServer {
  const code = (problem as NodeJS.ErrnoException).code ?? String(problem);
  return new HaltServer(`cannot bind ${formatBindAddress(address)}: ${REASONS[code] ?? code}`, 'bind');
}

function attempt<T>(address: BindAddress, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw cannotBind(address, error);
  }
}

function bind(address: BindAddress, open: () => SocketHandle): Opened {
  return { handle: attempt(address, open), url: urlOf(address) };
}

/** Removes a socket file that no server listens on. Throws HaltServer for a live socket and for any other file. */
async function removeStaleSocket(path: string): Promise<void> {
  const address = { kind: 'unix', path } as const;
  const stat = attempt(address, () => lstatSync(path, { throwIfNoEntry: false }));
  if (!stat) return;
  if (!stat.isSocket()) throw cannotBind(address, 'a file that is not a socket is in the way; it was left alone');
  if (await answers(path)) throw cannotBind(address, 'EADDRINUSE');
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = net.connect(path);
  socket.once('connect', () => resolve(true));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  return promise.finally(() => socket.destroy());
}

/** The kernel reuses inode numbers at once, so the time of birth counts too. */
function fileIdentity(path: string): string | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && `${stat.dev} ${stat.ino} ${stat.birthtimeNs}`;
}

/** Undefined for a unix socket. */
function portOf(handle: SocketHandle): number | undefined {
  const at: { port?: number } = {};
  handle.getsockname?.(at);
  return at.port;
}

function urlOf(address: BindAddress): string {
  return address.kind === 'tcp' ? `http://${formatBindAddress(address)}` : formatBindAddress(address);
}
