import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Get, HttpCode, ParseIntPipe, Post, Query, Req, Sse } from '@nestjs/common';
import type { Request } from 'express';
import { interval, map, type Observable, take } from 'rxjs';
import { Greeting } from './greeting.service.js';

/** The longest wait that a client may ask of /slow, in milliseconds. */
const LONGEST_MS = 60_000;

@Controller()
export class AppController {
  constructor(private readonly greeting: Greeting) {}

  @Get()
  hello() {
    return this.greeting.hello();
  }

  @Get('slow')
  async slow(@Query('ms', new ParseIntPipe({ optional: true })) asked = 1_000) {
    const ms = Math.min(Math.max(asked, 0), LONGEST_MS);
    await sleep(ms);
    return { waited: ms, pid: process.pid };
  }

  @Sse('events')
  events(): Observable<{ data: object }> {
    return interval(200).pipe(
      take(5),
      map((i) => ({ data: { n: i + 1, at: Date.now() } })),
    );
  }

  @Post('upload')
  @HttpCode(200)
  async upload(@Req() request: Request) {
    let bytes = 0;
    for await (const chunk of request) bytes += chunk.length;
    return { bytes };
  }

  // Nest answers 500 and logs the error.
  @Get('error')
  error() {
    throw new Error('thrown in a handler');
  }
}
