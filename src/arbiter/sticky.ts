/** `TSUNICORN_STICKY=ip`: keeps the kernel's choice of slot in step with the pool (docs/decisions/0017-sticky.md). */
import type { Settings } from '../config/settings.ts';
import type { LoadedNative } from '../platform/native/native.ts';
import { errnoError } from '../platform/socket-handle.ts';
import type { StickyCalls } from '../platform/sockets.ts';
import type { ArbiterContext } from './context.ts';

/** Undefined where it is off or cannot be. */
export function stickyCalls({ sticky, backlog }: Settings, { native }: LoadedNative): StickyCalls | undefined {
  return sticky === 'ip' && native ? { native, backlog } : undefined;
}

type Shared = Pick<ArbiterContext, 'settings' | 'pool' | 'listeners' | 'native' | 'log'>;

export class StickySlots {
  readonly #context: Shared;
  #on: boolean;
  #slots = 0;

  constructor(context: Shared, possible: boolean) {
    this.#context = context;
    this.#on = possible;
  }

  /** The sockets are bound. Says what is not sticky although it was asked for. */
  start(): void {
    const { settings, pool, listeners, native, log } = this.#context;
    if (settings.sticky === 'off') return;
    const missing = process.platform === 'linux' ? `the native part is missing: ${native.problem}` : 'it needs Linux';
    if (!this.#on) return log.warn(`TSUNICORN_STICKY=ip has no effect: ${missing}`);
    const shared = listeners.sharedUrls;
    if (shared.length > 0) {
      const mend = 'a client there may reach any of them; bind host:port instead';
      log.warn(`TSUNICORN_STICKY=ip does not cover ${shared.join(', ')}, which the workers share: ${mend}`);
    }
    if (shared.length === listeners.urls.length) this.#on = false;
    else this.#stick(pool.target);
  }

  /** A slot that is new gets clients once its worker is ready; one that is not wanted any more gets none at once. */
  follow(): void {
    if (!this.#on) return;
    const { pool } = this.#context;
    const ready = pool.workers.filter(({ state }) => state === 'ready').map(({ slot }) => slot + 1);
    const slots = Math.min(pool.target, Math.max(this.#slots, ...ready));
    if (slots !== this.#slots) this.#stick(slots);
  }

  #stick(slots: number): void {
    const { pool, listeners, log } = this.#context;
    const errno = listeners.stick(slots);
    for (let slot = 0; slot < slots; slot++) pool.listensAlready(slot);
    const before = this.#slots;
    this.#slots = slots;
    if (errno === 0) return log.info(`sticky: client addresses are spread over ${slots} slot${slots === 1 ? '' : 's'}`);
    const refused = `the kernel refuses SO_ATTACH_REUSEPORT_CBPF for ${slots} slots (${errnoError(errno).code})`;
    if (before === 0) log.warn(`TSUNICORN_STICKY=ip has no effect: ${refused}`);
    else log.error(`sticky: client addresses stay spread over ${before} slots: ${refused}`);
  }
}
