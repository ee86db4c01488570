/** A program's servers beside its app: metrics on their own port, a raw TCP protocol. They listen for real. */
import type { Server } from 'node:net';
import { describeCall, type ListenCall } from './listen-call.ts';

export type OriginalListen = (server: Server, args: unknown[]) => Server;

interface ExtraServerOptions {
  /** TCP ports that tsunicorn serves. */
  readonly ports: readonly number[];
  readonly warn: (message: string) => void;
  readonly listen: OriginalListen;
}

/** Only Linux spreads connections by SO_REUSEPORT; where it does not, libuv refuses the option (uv_tcp_bind). */
const CAN_SHARE = process.platform === 'linux';

/** `args` are the program's. */
export function listenBeside(server: Server, call: ListenCall, args: unknown[], options: ExtraServerOptions): Server {
  const { port, path } = call;
  if (path !== undefined) {
    options.warn(
      `the app also listens on ${path}, which only one worker can hold at a time: serve it from another process, or run one worker (TSUNICORN_WORKERS=1)`,
    );
  }
  if (port === undefined || port === 0) return options.listen(server, args);
  if (options.ports.includes(port)) {
    const message = `listen EADDRINUSE: tsunicorn serves port ${port} with another server of the app. Let the app's http server listen first, or set PORT to its port`;
    const error = Object.assign(new Error(message), { code: 'EADDRINUSE', syscall: 'listen', port });
    process.nextTick(() => server.emit('error', error));
    return server;
  }
  options.warn(
    `the app also listens on ${describeCall(call)}: every worker does, and the kernel spreads the connections (SO_REUSEPORT). tsunicorn neither counts nor drains them`,
  );
  return options.listen(server, [{ ...call.options, reusePort: CAN_SHARE }, call.callback]);
}

/** Calls `listen` for a server whose program has had the 'listening' event already. */
export function listenAgain(server: Server, listen: () => void): void {
  const emit = server.emit;
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event !== 'listening') return Reflect.apply(emit, server, [event, ...args]);
    server.emit = emit;
    return true;
  };
  listen();
}
