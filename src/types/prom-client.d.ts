/**
 * prom-client's parts one by one. Its index also loads node:cluster, a push gateway with https and zlib, and the default
 * metrics: 8 MB that the arbiter has no use for (docs/decisions/0002-memory.md).
 */
declare module 'prom-client/lib/registry.js' {
  import { Registry } from 'prom-client';
  export = Registry;
}
declare module 'prom-client/lib/counter.js' {
  import { Counter } from 'prom-client';
  export = Counter;
}
declare module 'prom-client/lib/gauge.js' {
  import { Gauge } from 'prom-client';
  export = Gauge;
}
