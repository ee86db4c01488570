import { setTimeout as sleep } from 'node:timers/promises';

export default defineEventHandler((event) => {
  const stream = createEventStream(event);
  void push(stream); // goes on while the response is being sent
  return stream.send();
});

async function push(stream) {
  for (let n = 1; n <= 5; n++) {
    await stream.push(JSON.stringify({ n, at: Date.now() }));
    await sleep(200);
  }
  await stream.close();
}
