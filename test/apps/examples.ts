/** What each example is and has, declared once: the test, the table in docs/apps.md and its check go over this. */

/** The Node.js releases that every example has to run on. */
export const NODE_MAJORS = [22, 24, 26] as const;

/** What is tried, in this order; the titles of the columns in docs/apps.md. */
export const STEPS = ['Served', 'Streamed', 'Uploaded', 'WebSocket', 'Error', 'Drained'] as const;
export type Step = (typeof STEPS)[number];

/** Where an example has it; a step whose path is missing is not tried. */
export interface Paths {
  /** Answers with the pid of the worker. */
  readonly hello: string;
  /** Answers after 700 ms. */
  readonly slow?: string;
  /** Five server-sent events, 200 ms apart. */
  readonly events?: string;
  /** Takes a POST, and answers with the number of bytes. */
  readonly upload?: string;
  /** Throws in the handler. */
  readonly error?: string;
  /** Sends back each message, after the pid. Closed with 1001 at the drain. */
  readonly webSocket?: string;
}

export interface Example {
  /** Below examples/. */
  readonly directory: string;
  readonly title: string;
  /** What tsunicorn finds in the module. */
  readonly form: string;
  /** The package whose version the table gives; none where Node.js is all that it needs. */
  readonly package?: string;
  /** `TSUNICORN_APP`, where `main` of package.json does not lead to the app. */
  readonly app?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly paths: Paths;
  /** What has to be on its output, stdout and stderr, when it has ended. */
  readonly prints?: RegExp;
}

const HTTP = { hello: '/', slow: '/slow?ms=700', events: '/events', upload: '/upload', error: '/error' };

export const EXAMPLES: readonly Example[] = [
  { directory: 'express', title: 'Express', form: 'Express app', package: 'express', paths: HTTP },
  {
    directory: 'fastify',
    title: 'Fastify',
    form: 'Fastify instance',
    package: 'fastify',
    paths: { ...HTTP, webSocket: '/ws' },
  },
  { directory: 'koa', title: 'Koa', form: 'Koa app', package: 'koa', paths: HTTP },
  { directory: 'hono', title: 'Hono', form: 'object with `fetch`', package: 'hono', paths: HTTP },
  {
    directory: 'nest',
    title: 'Nest',
    form: 'Nest application',
    package: '@nestjs/core',
    env: { TSUNICORN_NODE_OPTIONS: '--enable-source-maps' },
    paths: { ...HTTP, webSocket: '/ws' },
    prints: /app\.controller\.ts:\d+/, // the stack of the error, through the source map
  },
  {
    directory: 'nextjs',
    title: 'Next.js, standalone',
    form: 'program that listens',
    package: 'next',
    app: '.next/standalone/server.js',
    paths: HTTP,
  },
  { directory: 'fetch', title: 'Plain `fetch`', form: 'object with `fetch`', paths: HTTP },
  { directory: 'typescript', title: 'Plain TypeScript', form: '`(req, res)` function', paths: HTTP },
  {
    directory: 'websocket',
    title: 'WebSocket',
    form: '`http.Server`',
    package: 'ws',
    paths: { hello: '/', webSocket: '/ws' },
  },
  {
    directory: 'listen',
    title: 'Unmodified program',
    form: 'program that listens',
    package: 'express',
    paths: { ...HTTP, webSocket: '/ws' },
    prints: /SIGTERM: closing/,
  },
  {
    directory: 'trpc',
    title: 'tRPC',
    form: '`http.Server`',
    package: '@trpc/server',
    paths: { hello: '/hello', slow: '/slow?input=700', events: '/events', upload: '/upload', error: '/error' },
  },
  {
    directory: 'opentelemetry',
    title: 'OpenTelemetry',
    form: 'Express app',
    package: '@opentelemetry/auto-instrumentations-node',
    env: {
      TSUNICORN_NODE_OPTIONS: '--import @opentelemetry/auto-instrumentations-node/register',
      OTEL_TRACES_EXPORTER: 'console',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_NODE_RESOURCE_DETECTORS: 'env,host,process',
    },
    paths: { hello: '/', slow: '/slow?ms=700', error: '/error' },
    prints: /name: '@opentelemetry\/instrumentation-http'/, // a span of a request
  },
];

export function stepsOf({ paths }: Example): Step[] {
  const has: Record<Step, boolean> = {
    Served: true,
    Streamed: paths.events !== undefined,
    Uploaded: paths.upload !== undefined,
    WebSocket: paths.webSocket !== undefined,
    Error: paths.error !== undefined,
    Drained: true,
  };
  return STEPS.filter((step) => has[step]);
}
