/**
 * `node:http` without its ES module facade, which reads every export. The lazy `WebSocket` and `MessageEvent` among them
 * load a whole HTTP client: 15 MB of resident memory per process on Node.js 24 and 26 instead of 2 MB
 * (docs/decisions/0002-memory.md).
 */
export const http = process.getBuiltinModule('node:http');
