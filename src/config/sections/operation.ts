/** The rows of the settings table about logs, proxies, the admin endpoint and the process itself. */
import { accessLogFormat } from '../access-log-format.ts';
import { adminAddress } from '../bind-address.ts';
import { account, boolean, oneOf, path, pathNotOff, trustedPeers, wordOr } from '../parsers.ts';
import { section } from '../table.ts';

export const OPERATION = {
  ...section('Logging', {
    logLevel: {
      name: 'TSUNICORN_LOG_LEVEL',
      parser: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal'], { warning: 'warn', critical: 'fatal' }),
      default: 'info',
      text: 'The least severe level that is written to the server log. `warning` is `warn`, and `critical` is `fatal`.',
    },
    logFormat: {
      name: 'TSUNICORN_LOG_FORMAT',
      parser: oneOf(['json', 'pretty']),
      default: ({ isTerminal }) => (isTerminal ? 'pretty' : 'json'),
      defaultMeans: '`json`; on a terminal `pretty`',
      text: '`json` writes one JSON object a line, for log collectors; `pretty` is for people.',
    },
    errorLog: {
      name: 'TSUNICORN_ERROR_LOG',
      parser: wordOr(['-'], pathNotOff),
      default: '-',
      text: 'Where the server log goes: `-` is stderr. A file is opened again on SIGUSR1.',
    },
    accessLog: {
      name: 'TSUNICORN_ACCESS_LOG',
      parser: wordOr(['-', 'off'], path),
      default: '-',
      text: 'Where the access log goes, one line a request: `-` is stdout. A file is opened again on SIGUSR1.',
    },
    accessLogFormat: {
      name: 'TSUNICORN_ACCESS_LOG_FORMAT',
      parser: accessLogFormat,
      default: 'json',
      text: "The lines of the access log: `json`, `common` or `combined` as in other web servers, or a format of one's own with Gunicorn's atoms: `%(h)s` client, `%(r)s` request line, `%(s)s` status and so on, see [logs](logs.md).",
    },
  }),
  ...section('Proxy', {
    forwardedAllowIps: {
      name: 'TSUNICORN_FORWARDED_ALLOW_IPS',
      alias: 'FORWARDED_ALLOW_IPS',
      parser: trustedPeers,
      default: 'loopback',
      text: 'The proxies whose `X-Forwarded-*` and `Forwarded` headers are believed; peers on unix sockets always are. With `*` any client can forge its address, so use it only where no client can reach tsunicorn directly.',
    },
  }),
  ...section('Admin', {
    adminBind: {
      name: 'TSUNICORN_ADMIN_BIND',
      parser: adminAddress,
      default: '0.0.0.0:9464',
      text: 'The address of the admin endpoint with health, metrics, status and the live page. It has no access control: keep it away from the public network. With `off`, `tsunicorn healthcheck` has nothing to ask.',
    },
    appMetrics: {
      name: 'TSUNICORN_APP_METRICS',
      parser: boolean,
      default: 'true',
      text: 'Whether `/metrics` also has what the app keeps in the default registry of its own `prom-client`, taken together over the workers.',
    },
  }),
  ...section('Process', {
    pidfile: {
      name: 'TSUNICORN_PIDFILE',
      parser: path,
      defaultMeans: 'none',
      text: "A file for the arbiter's process id.",
    },
    user: {
      name: 'TSUNICORN_USER',
      parser: account('user'),
      defaultMeans: 'none',
      text: 'The user that the workers run as. To change it, tsunicorn has to be started as root.',
    },
    group: {
      name: 'TSUNICORN_GROUP',
      parser: account('group'),
      defaultMeans: 'none',
      text: 'The group that the workers run as. To change it, tsunicorn has to be started as root.',
    },
  }),
};
