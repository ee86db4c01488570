/**
 * What tsunicorn is compared with: one process, nothing but node:http. CommonJS on purpose: `import 'node:http'` takes
 * 15 MB that `require` does not, and would flatter every memory figure.
 */
const { createServer } = require('node:http');

createServer(require('./hello.cjs')).listen(Number(process.env.PORT), '127.0.0.1');
