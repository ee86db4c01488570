/**
 * `node:http` without its ES module facade. `import 'node:http'` reads every export of the module at once, and with
 * them the lazy `WebSocket` and `MessageEvent`, which load a whole HTTP client: 15 MB of resident memory a process on
 * Node.js 24 and 26 (docs/decisions/0002-memory.md). This way the module costs 2 MB.
 */
export const http = process.getBuiltinModule('node:http');
