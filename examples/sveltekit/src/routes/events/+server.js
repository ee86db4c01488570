import { setTimeout as sleep } from 'node:timers/promises';

export function GET() {
  return new Response(ReadableStream.from(events()), { headers: { 'Content-Type': 'text/event-stream' } });
}

async function* events() {
  const encoder = new TextEncoder();
  for (let n = 1; n <= 5; n++) {
    yield encoder.encode(`data: ${JSON.stringify({ n, at: Date.now() })}\n\n`);
    await sleep(200);
  }
}
