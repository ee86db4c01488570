/**
 * Sends messages to the other workers on request: with tsunicorn's broadcast(), or with process.send() to the primary of
 * node:cluster, which passes them on to all others, as its users write it.
 */
const cluster = require('node:cluster');
const { randomUUID } = require('node:crypto');

const { TSUNICORN_WORKER_SLOT, WORKERS, PORT } = process.env;
const OTHERS = Number(WORKERS) - 1;

/** By run: how many came, and who has had all. */
const counts = new Map();
const acks = new Map();

function received(message) {
  const { run, end, ack } = message;
  if (ack !== undefined) return acks.get(run)?.(ack);
  const count = (counts.get(run) ?? 0) + 1;
  counts.set(run, count);
  if (end) void send({ run, ack: { pid: process.pid, count } });
}

let send;

/** Resolves once every other worker has had all `count` messages. */
async function sendAll(count, load) {
  const run = randomUUID();
  const all = new Promise((resolve) => {
    let missing = OTHERS;
    acks.set(run, (ack) => {
      if (ack.count !== count) throw new Error(`${ack.count} of ${count} messages came`);
      if (--missing === 0) resolve();
    });
  });
  for (let i = 1; i <= count; i++) await send({ run, load, end: i === count });
  await all;
  acks.delete(run);
}

async function handle(request, response) {
  const { searchParams } = new URL(request.url, 'http://bench');
  const count = Number(searchParams.get('count'));
  const from = performance.now();
  if (count > 0) await sendAll(count, 'x'.repeat(Number(searchParams.get('bytes'))));
  response.end(String(performance.now() - from));
}

if (TSUNICORN_WORKER_SLOT !== undefined) {
  const { broadcast, onMessage } = require('../../dist/public.js');
  send = broadcast;
  onMessage(received);
  module.exports = handle;
} else if (cluster.isPrimary) {
  for (let i = 0; i < Number(WORKERS); i++) cluster.fork();
  cluster.on('message', (sender, message) => {
    for (const worker of Object.values(cluster.workers)) if (worker !== sender) worker.send(message);
  });
} else {
  send = (message) => new Promise((resolve) => process.send(message, resolve));
  process.on('message', received);
  require('node:http').createServer(handle).listen(Number(PORT), '127.0.0.1');
}
