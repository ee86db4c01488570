/**
 * What the workers of a node:cluster program say to their primary. Most primaries pass that on to the other workers, so
 * it goes there; what only a primary can use ends here.
 */
import { unseal } from '../../messages.ts';
import { TOPICS, type Topic } from '../../platform/frames.ts';
import type { MessageHandler } from '../../worker-hook.ts';
import { isObject, type Properties } from '../app/duck-typing.ts';

export interface ClusterMail {
  send(topic: Topic, message: unknown, slot?: number): unknown;
  on(topic: Topic, handler: MessageHandler): unknown;
}

export interface RelayedProcess {
  readonly slot: number;
  /** Its number among all workers that this server ever started. */
  readonly workerId: number;
}

/** For the program's primary alone, by who sends it. */
export type PrimaryPart = 'metrics' | 'sticky' | 'log4js';

export interface WorkersRoute {
  readonly to: 'workers';
  readonly message: unknown;
  /** Of the one that it is for; undefined for all others. */
  readonly slot?: number;
}

export type Route =
  | WorkersRoute
  | { readonly to: 'primary'; readonly part: PrimaryPart }
  /** For whoever started the process, as pm2. */
  | { readonly to: 'parent' };

/** Of messages of @socket.io/cluster-adapter. */
const SOCKET_IO = '_sio_adapter';
/** Of its versions before 0.3, which know workers by `cluster.worker.id`. */
const WORKER_INIT = 1;
const WORKER_PING = 2;
const WORKER_EXIT = 3;
const FETCH_SOCKETS_RESPONSE = 9;
const SERVER_SIDE_EMIT_RESPONSE = 11;
/** From 0.3, which waits ten seconds for a worker that has ended unless it is told. */
const ADAPTER_CLOSE = 13;

const PARTS: readonly (readonly [pattern: RegExp, part: PrimaryPart])[] = [
  [/^prom-client:/, 'metrics'],
  [/^sticky:/, 'sticky'],
  [/^log4js:/, 'log4js'],
];

/** pm2's words, Node.js' own, and what looks like ours. */
const forParent = (message: unknown): boolean =>
  message === 'ready' ||
  unseal(message) !== undefined ||
  (isObject(message) && (/^(process|axm):/.test(String(message.type)) || /^NODE_/.test(String(message.cmd))));

const isSocketIo = (message: unknown): message is Properties => isObject(message) && message.source === SOCKET_IO;

export class ClusterRelay {
  readonly #mail: ClusterMail;
  readonly #self: RelayedProcess;
  /** Whose the adapters of Socket.IO are, by their `uid`, which they have from 0.3. */
  readonly #adapters = new Map<unknown, RelayedProcess & { readonly nsp: unknown }>();
  /** The program has an older one, which counts workers. */
  #countsWorkers = false;

  constructor(mail: ClusterMail, self: RelayedProcess) {
    this.#mail = mail;
    this.#self = self;
  }

  /** From now on `receive` gets what the other workers send. */
  open(receive: (message: unknown) => void): void {
    this.#mail.on(TOPICS.cluster, (packed, { slot, id }) => {
      const message = unpack(packed);
      if (isSocketIo(message)) this.#learn(message, { slot, workerId: id });
      receive(message);
    });
    this.#mail.on(TOPICS.ended, (_nothing, { id }) => {
      for (const [uid, { workerId, nsp }] of this.#adapters) {
        if (workerId !== id) continue;
        this.#adapters.delete(uid);
        receive({ source: SOCKET_IO, type: ADAPTER_CLOSE, nsp, uid });
      }
      if (this.#countsWorkers) receive({ source: SOCKET_IO, type: WORKER_EXIT, data: id });
    });
  }

  /** `isAdvanced`: the program's primary asks for `serialization: 'advanced'`. Throws if this cannot be sent. */
  send({ message, slot }: WorkersRoute, isAdvanced: boolean): void {
    // Packets of Socket.IO may be binary.
    const packed = isAdvanced || isSocketIo(message) ? { message } : JSON.stringify(message);
    this.#mail.send(TOPICS.cluster, packed, slot);
  }

  routeOf(message: unknown): Route {
    if (forParent(message)) return { to: 'parent' };
    if (isSocketIo(message)) return { to: 'workers', ...this.#socketIo(message) };
    const kind = isObject(message) ? String(message.type ?? message.topic) : '';
    const [, part] = PARTS.find(([pattern]) => pattern.test(kind)) ?? [];
    return part === undefined ? { to: 'workers', message } : { to: 'primary', part };
  }

  /** As `setupPrimary()` of the adapter does: answers go to the worker that asked, the rest to all others. */
  #socketIo(message: Properties): Omit<WorkersRoute, 'to'> {
    const { type, data, uid, requesterUid } = message;
    if (uid !== undefined) {
      const slot = this.#adapters.get(requesterUid)?.slot;
      return slot === undefined ? { message } : { message, slot };
    }
    this.#countsWorkers = true;
    // Two workers share a slot while one drains, so they are counted by a number that is never used again.
    if (type === WORKER_INIT || type === WORKER_PING) return { message: { ...message, data: this.#self.workerId } };
    const isAnswer = type === FETCH_SOCKETS_RESPONSE || type === SERVER_SIDE_EMIT_RESPONSE;
    return isAnswer && isObject(data) ? { message, slot: Number(data.workerId) - 1 } : { message };
  }

  #learn({ uid, nsp }: Properties, from: RelayedProcess): void {
    if (uid !== undefined) this.#adapters.set(uid, { ...from, nsp });
  }
}

/** JSON is what a channel between processes has by default: `toJSON()` is called, and functions are left out. */
function unpack(packed: unknown): unknown {
  return typeof packed === 'string' ? JSON.parse(packed) : (packed as { readonly message: unknown }).message;
}
