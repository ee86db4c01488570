/** Settings of logs, proxies, the admin endpoint and the process. */
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
      text: 'The lowest level written to the server log. `warning` is `warn`, `critical` is `fatal`.',
    },
    logFormat: {
      name: 'TSUNICORN_LOG_FORMAT',
      parser: oneOf(['json', 'pretty']),
      default: ({ isTerminal }) => (isTerminal ? 'pretty' : 'json'),
      defaultMeans: '`json`; on a terminal `pretty`',
      text: '`json` writes one JSON object per line, for log collectors; `pretty` is for people.',
    },
    errorLog: {
      name: 'TSUNICORN_ERROR_LOG',
      parser: wordOr(['-'], pathNotOff),
      default: '-',
      text: 'Where the server log goes: `-` is stderr. A file is reopened on SIGUSR1.',
    },
    accessLog: {
      name: 'TSUNICORN_ACCESS_LOG',
      parser: wordOr(['-', 'off'], path),
      default: '-',
      text: 'Where the access log goes, one line per request: `-` is stdout. A file is reopened on SIGUSR1.',
    },
    accessLogFormat: {
      name: 'TSUNICORN_ACCESS_LOG_FORMAT',
      parser: accessLogFormat,
      default: 'json',
      text: "The format of the access log: `json`, `common` or `combined` as in other web servers, or your own with Gunicorn's atoms: `%(h)s` client, `%(r)s` request line, `%(s)s` status and so on, see [logs](logs.md).",
    },
  }),
  ...section('Proxy', {
    forwardedAllowIps: {
      name: 'TSUNICORN_FORWARDED_ALLOW_IPS',
      alias: 'FORWARDED_ALLOW_IPS',
      parser: trustedPeers,
      default: 'loopback',
      text: 'The proxies whose `X-Forwarded-*` and `Forwarded` headers are trusted; peers on unix sockets always are. With `*` any client can forge its address: use it only where no client can reach tsunicorn directly.',
    },
  }),
  ...section('Admin', {
    adminBind: {
      name: 'TSUNICORN_ADMIN_BIND',
      parser: adminAddress,
      default: '0.0.0.0:9464',
      text: 'The address of the admin endpoint with health, metrics, status and the live page. It has no access control: keep it off the public network. With `off`, `tsunicorn healthcheck` cannot work.',
    },
    appMetrics: {
      name: 'TSUNICORN_APP_METRICS',
      parser: boolean,
      default: 'true',
      text: "Adds the app's own default `prom-client` registry to `/metrics`, merged over the workers.",
    },
  }),
  ...section('Process', {
    pidfile: {
      name: 'TSUNICORN_PIDFILE',
      parser: path,
      defaultMeans: 'none',
      text: "A file for the arbiter's process ID.",
    },
    user: {
      name: 'TSUNICORN_USER',
      parser: account('user'),
      defaultMeans: 'none',
      text: 'The user that workers run as. Needs tsunicorn to be started as root.',
    },
    group: {
      name: 'TSUNICORN_GROUP',
      parser: account('group'),
      defaultMeans: 'none',
      text: 'The group that workers run as. Needs tsunicorn to be started as root.',
    },
  }),
};
