/** Settings of timeouts and limits. */
import { autoOr, integer, seconds, size } from '../parsers.ts';
import { section } from '../table.ts';

/** How long Kubernetes may still send new connections to a terminating pod. */
const KUBERNETES_DRAIN_SECONDS = 5;

export const REQUESTS = {
  ...section('Timeouts', {
    timeout: {
      name: 'TSUNICORN_TIMEOUT',
      parser: seconds(),
      default: '30',
      text: 'A worker whose event loop is silent this long is stalled: it is killed and replaced. A slow response that leaves the event loop free is not affected. `0` is off.',
    },
    bootTimeout: {
      name: 'TSUNICORN_BOOT_TIMEOUT',
      parser: seconds({ zero: false }),
      default: '60',
      text: 'A worker that is not ready this long after its start is killed, which counts towards `TSUNICORN_CRASH_LIMIT`.',
    },
    requestTimeout: {
      name: 'TSUNICORN_REQUEST_TIMEOUT',
      parser: seconds(),
      default: '0',
      text: 'A request whose response has not started after this time gets 503. `0` is off.',
    },
    gracefulTimeout: {
      name: 'TSUNICORN_GRACEFUL_TIMEOUT',
      parser: seconds({ zero: false }),
      default: '25',
      text: "The time from SIGTERM to the exit; what still runs then is killed. Keep it below the orchestrator's own limit before SIGKILL: 30 seconds in Kubernetes, 10 in Docker unless `stop_grace_period` says otherwise.",
    },
    drainDelay: {
      name: 'TSUNICORN_DRAIN_DELAY',
      parser: autoOr(({ kubernetes }) => (kubernetes ? KUBERNETES_DRAIN_SECONDS : 0), seconds()),
      default: 'auto',
      text: `How long to keep accepting after SIGTERM, while \`/readyz\` answers 503 and responses close their connection, so that load balancers stop sending first. It is part of \`TSUNICORN_GRACEFUL_TIMEOUT\`. \`auto\` is ${KUBERNETES_DRAIN_SECONDS} under Kubernetes, otherwise 0.`,
    },
    keepalive: {
      name: 'TSUNICORN_KEEPALIVE',
      parser: seconds(),
      default: '75',
      text: "How long an idle connection stays open for its next request. Keep it longer than the proxy's idle timeout (60 seconds in nginx and most cloud load balancers): otherwise tsunicorn may close a connection just as the proxy sends a request on it, and the client gets a 502. `0` closes each connection after its response.",
    },
    headerTimeout: {
      name: 'TSUNICORN_HEADER_TIMEOUT',
      parser: seconds(),
      default: '10',
      text: "The time to receive a request's header; then 408. `0` is off.",
    },
    bodyTimeout: {
      name: 'TSUNICORN_BODY_TIMEOUT',
      parser: seconds(),
      default: '300',
      text: 'The time to receive a whole request, header and body; then 408. Slow uploads need more. `0` is off.',
    },
  }),
  ...section('Limits', {
    limitHeaderSize: {
      name: 'TSUNICORN_LIMIT_HEADER_SIZE',
      parser: size({ min: 1024 }),
      default: '16KiB',
      text: 'The size of request line and header together; above it 431.',
    },
    limitRequestFields: {
      name: 'TSUNICORN_LIMIT_REQUEST_FIELDS',
      parser: integer({ min: 1 }),
      default: '100',
      text: 'The number of header fields in a request; above it 431.',
    },
    limitRequestLine: {
      name: 'TSUNICORN_LIMIT_REQUEST_LINE',
      parser: integer({ min: 1 }),
      default: '8190',
      text: 'The length of a request line in bytes; above it 414.',
    },
    limitBodySize: {
      name: 'TSUNICORN_LIMIT_BODY_SIZE',
      parser: size(),
      default: '0',
      text: 'The size of a request body; above it 413. `0` is no limit.',
    },
    maxEventLoopLag: {
      name: 'TSUNICORN_MAX_EVENT_LOOP_LAG',
      parser: seconds(),
      default: '0',
      text: 'The event loop delay, in seconds, above which a worker answers new requests and WebSocket handshakes with 503 and `Retry-After` until it has caught up: it refuses early what would be late anyway. Readiness is not affected. `0` is off.',
    },
  }),
};
