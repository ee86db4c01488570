import type { IncomingMessage, ServerResponse } from 'node:http';

interface Greeting {
  readonly hello: string;
  readonly pid: number;
}

export default function app(request: IncomingMessage, response: ServerResponse): void {
  const name = new URL(request.url ?? '/', 'http://app').searchParams.get('name') ?? 'world';
  const greeting: Greeting = { hello: name, pid: process.pid };
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(greeting));
}
