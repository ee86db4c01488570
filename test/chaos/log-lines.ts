/** The lines about requests that failed: counted, and not kept, as they are many and long. */
import type { TestServer } from '../support/server.ts';

const ABOUT = '"msg":"the request handler failed"';

export class FailureLines {
  read = 0;

  /** Counts those that have come, and takes them out of what the server has said. */
  take(server: TestServer): void {
    const lines = server.stderr.split('\n');
    const kept = lines.filter((line) => !line.includes(ABOUT));
    this.read += lines.length - kept.length;
    server.stderr = kept.join('\n');
  }
}
