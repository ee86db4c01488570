/** Servers of a program beside the one that is its app: metrics on a port of their own, a raw TCP protocol. */
import type { Server } from 'node:net';
import { describeCall, type ListenCall } from './listen-call.ts';

export type OriginalListen = (server: Server, args: unknown[]) => Server;

interface FurtherOptions {
  /** TCP ports that tsunicorn serves. */
  readonly ports: readonly number[];
  readonly warn: (message: string) => void;
  readonly listen: OriginalListen;
}

/** SO_REUSEPORT spreads connections on Linux alone; libuv refuses it elsewhere where it does not (uv_tcp_bind). */
const CAN_SHARE = process.platform === 'linux';

/** Listens for real. `args` are those of the program. */
export function furtherServer(server: Server, call: ListenCall, args: unknown[], options: FurtherOptions): Server {
  const { port, path } = call;
  if (path !== undefined) {
    options.warn(
      `the app listens on ${path} beside its http server: one worker at a time can, so have another process serve it, or run one worker (TSUNICORN_WORKERS=1)`,
    );
  }
  if (port === undefined || port === 0) return options.listen(server, args);
  if (options.ports.includes(port)) {
    const message = `listen EADDRINUSE: tsunicorn itself serves port ${port}, with another server of the app. Let the app's http server listen before its others, or set PORT to its port`;
    const error = Object.assign(new Error(message), { code: 'EADDRINUSE', syscall: 'listen', port });
    process.nextTick(() => server.emit('error', error));
    return server;
  }
  options.warn(
    `the app listens on ${describeCall(call)} beside its http server: every worker does, and the kernel gives each connection to one of them (SO_REUSEPORT). tsunicorn neither drains nor counts those connections`,
  );
  return options.listen(server, [{ ...call.options, reusePort: CAN_SHARE }, call.callback]);
}

/** `listen` for a server whose 'listening' event its program has had already. */
export function listenAgain(server: Server, listen: () => void): void {
  const emit = server.emit;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'listening') return Reflect.apply(emit, server, [event, ...args]);
    server.emit = emit;
    return true;
  };
  listen();
}
