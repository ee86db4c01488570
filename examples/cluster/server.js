import cluster from 'node:cluster';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

// As in the documentation of node:cluster. Under tsunicorn the first branch does not run: it starts the workers.
if (cluster.isPrimary) {
  console.log(`primary ${process.pid} is running`);
  let isStopping = false;
  for (let i = 0; i < availableParallelism(); i++) cluster.fork();
  cluster.on('exit', (worker, code, signal) => {
    console.log(`worker ${worker.process.pid} died with ${signal ?? code}`);
    if (!isStopping) cluster.fork();
  });
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      isStopping = true;
      for (const worker of Object.values(cluster.workers)) worker.kill('SIGTERM');
    });
  }
} else {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    const answer = (value) => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(value));
    if (pathname === '/slow') {
      const ms = Math.min(Number(searchParams.get('ms') ?? 1_000) || 0, 60_000);
      await sleep(ms);
      return answer({ waited: ms, pid: process.pid });
    }
    return answer({ hello: 'world', worker: cluster.worker.id, pid: process.pid });
  });
  server.listen(Number(process.env.PORT ?? 3000), () => {
    console.log(`worker ${cluster.worker.id} is listening on port ${server.address().port}`);
  });
  process.on('SIGTERM', () => {
    console.log(`SIGTERM: worker ${cluster.worker.id} closes`);
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
