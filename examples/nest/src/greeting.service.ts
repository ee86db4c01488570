import { Injectable } from '@nestjs/common';

@Injectable()
export class Greeting {
  hello(): { hello: string; pid: number } {
    return { hello: 'world', pid: process.pid };
  }
}
