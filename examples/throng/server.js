const { setTimeout: sleep } = require('node:timers/promises');
const express = require('express');
const throng = require('throng');

// As in throng's README: the master and the workers it starts run the same file.
throng({ master, worker, count: Number(process.env.WEB_CONCURRENCY ?? 2) });

function master() {
  console.log(`master ${process.pid} started`);
}

function worker(id, disconnect) {
  const app = express();

  app.get('/', (_request, response) => {
    response.json({ hello: 'world', worker: id, pid: process.pid });
  });

  app.get('/slow', async (request, response) => {
    const ms = Math.min(Math.max(Number(request.query.ms ?? 1_000) || 0, 0), 60_000);
    await sleep(ms);
    response.json({ waited: ms, pid: process.pid });
  });

  app.get('/error', () => {
    throw new Error('thrown in a handler');
  });

  const server = app.listen(process.env.PORT ?? 3000, () => {
    console.log(`worker ${id} is listening on port ${server.address().port}`);
  });

  process.once('SIGTERM', shutdown);
  process.once('SIGINT', shutdown);

  function shutdown() {
    console.log(`worker ${id} cleanup`);
    server.close(disconnect);
  }
}
