/** A shop that is open while the picture of the live page is taken: some work, some waiting, some mistakes. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

let orders = 0;

export default async function shop(request, response) {
  switch (request.url) {
    case '/checkout':
      await sleep(20 + 60 * Math.random());
      // The payment provider is not always there.
      if (++orders % 40 === 0) response.statusCode = 502;
      return response.end('thank you');
    case '/receipt':
      setImmediate(() => printReceipt(undefined));
      return;
    default: {
      let hash = 'catalogue';
      for (let i = 0; i < 1_000 + 4_000 * Math.random(); i++) hash = createHash('sha256').update(hash).digest('hex');
      return response.end(hash);
    }
  }
}

function printReceipt(order) {
  return order.lines.map(({ name, price }) => `${name} ${price}`).join('\n');
}
