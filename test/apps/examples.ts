/** What each example is and has, declared once: the test, the table in docs/apps.md and its check go over this. */

/** The Node.js releases that every example has to run on. */
export const NODE_MAJORS = [22, 24, 26] as const;
export type Major = (typeof NODE_MAJORS)[number];

/** What is tried, in this order; the titles of the columns in docs/apps.md. */
export const STEPS = ['Served', 'Streamed', 'Uploaded', 'WebSocket', 'Error', 'Drained'] as const;
export type Step = (typeof STEPS)[number];

/** Where an example has it; a step whose path is missing is not tried. */
export interface Paths {
  /** Answers with the pid of the worker. */
  readonly hello: string;
  /** Answers after 700 ms, and says so: `"waited":700`. */
  readonly slow?: string;
  /** Five server-sent events, 200 ms apart. */
  readonly events?: string;
  /** Takes a POST, and answers with the number of bytes. */
  readonly upload?: string;
  /** Throws in the handler. */
  readonly error?: string;
  /** Sends back each message, after the pid. */
  readonly webSocket?: string;
  /** The code that it is closed with at the drain, where that is not 1001; 1006 is none. */
  readonly closeCode?: number;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
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
  /** Major versions of Node.js that its packages support, where those are not all. */
  readonly nodes?: readonly Major[];
  /** Installing and building takes a minute or more: tried on the newest Node.js alone, but for `npm run docs:apps`. */
  readonly isHeavy?: boolean;
  readonly paths: Paths;
  /** What has to be on its output, stdout and stderr, when it has ended. */
  readonly prints?: RegExp;
}

/** Those that an example has to run on. */
export function majorsOf({ nodes }: Example): readonly Major[] {
  return nodes ?? NODE_MAJORS;
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
    directory: 'cluster',
    title: '`node:cluster`',
    form: 'program that listens',
    paths: { hello: '/', slow: '/slow?ms=700' },
    prints: /SIGTERM: worker [12] closes/,
  },
  {
    directory: 'throng',
    title: 'throng',
    form: 'program that listens',
    package: 'throng',
    paths: { hello: '/', slow: '/slow?ms=700', error: '/error' },
    prints: /worker [12] cleanup/,
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
  {
    directory: 'apollo',
    title: 'Apollo Server',
    form: 'program that listens',
    package: '@apollo/server',
    paths: {
      headers: { 'apollo-require-preflight': 'true' }, // else a GET is taken for a forgery
      hello: '/?query={pid}',
      slow: '/?query={slow(ms:700){waited,pid}}',
      error: '/?query={error}',
    },
  },
  {
    directory: 'yoga',
    title: 'GraphQL Yoga',
    form: 'program that listens',
    package: 'graphql-yoga',
    paths: {
      hello: '/graphql?query={pid}',
      slow: '/graphql?query={slow(ms:700){waited,pid}}',
      events: '/graphql?query=subscription{events{n,at}}',
      error: '/graphql?query={error}',
    },
  },
  {
    directory: 'nuxt',
    title: 'Nuxt (Nitro)',
    form: 'program that listens',
    package: 'nuxt',
    app: '.output/server/index.mjs',
    isHeavy: true,
    paths: { ...HTTP, webSocket: '/ws', closeCode: 1006 }, // Nitro ends the process, as under plain node
  },
  {
    directory: 'astro',
    title: 'Astro, standalone',
    form: 'program that listens',
    package: 'astro',
    app: 'dist/server/entry.mjs',
    isHeavy: true,
    paths: HTTP,
  },
  {
    directory: 'sveltekit',
    title: 'SvelteKit, adapter-node',
    form: 'program that listens',
    package: '@sveltejs/kit',
    app: 'build/index.js',
    isHeavy: true,
    env: { ORIGIN: 'http://127.0.0.1', BODY_SIZE_LIMIT: '2M' },
    paths: HTTP,
  },
  {
    directory: 'adonis',
    title: 'AdonisJS',
    form: 'program that listens',
    package: '@adonisjs/core',
    app: 'build/bin/server.js',
    nodes: [24, 26],
    env: { HOST: '127.0.0.1', LOG_LEVEL: 'info', APP_KEY: 'a-key-for-the-test-of-32-characters-or-more' },
    paths: HTTP,
  },
  {
    directory: 'strapi',
    title: 'Strapi',
    form: 'program that listens',
    package: '@strapi/strapi',
    isHeavy: true,
    env: {
      APP_KEYS: 'for-the,test',
      ADMIN_JWT_SECRET: 'for-the-test',
      API_TOKEN_SALT: 'for-the-test',
      TRANSFER_TOKEN_SALT: 'for-the-test',
      ENCRYPTION_KEY: 'for-the-test-32-characters-long-x',
      JWT_SECRET: 'for-the-test',
      STRAPI_TELEMETRY_DISABLED: 'true',
    },
    paths: {
      hello: '/api/hello',
      slow: '/api/slow?ms=700',
      events: '/api/events',
      upload: '/api/upload',
      error: '/api/error',
    },
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
