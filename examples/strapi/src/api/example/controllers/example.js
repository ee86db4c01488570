const { Readable } = require('node:stream');
const { setTimeout: sleep } = require('node:timers/promises');

module.exports = {
  hello(ctx) {
    ctx.body = { hello: 'world', pid: process.pid };
  },

  async slow(ctx) {
    const ms = Math.min(Math.max(Number(ctx.query.ms ?? 1_000) || 0, 0), 60_000);
    await sleep(ms);
    ctx.body = { waited: ms, pid: process.pid };
  },

  events(ctx) {
    ctx.type = 'text/event-stream';
    ctx.body = Readable.from(events());
  },

  async upload(ctx) {
    let bytes = 0;
    for await (const chunk of ctx.req) bytes += chunk.length;
    ctx.body = { bytes };
  },

  error() {
    throw new Error('thrown in a controller');
  },
};

async function* events() {
  for (let n = 1; n <= 5; n++) {
    yield `data: ${JSON.stringify({ n, at: Date.now() })}\n\n`;
    await sleep(200);
  }
}
