/** The settings that are addresses, with good and bad values. */
import type { Settings } from '../../src/config/settings.ts';
import type { BindAddress } from '../../src/platform/address.ts';

export interface Case {
  /** Text → value. */
  readonly good: Readonly<Record<string, unknown>>;
  /** Text → what exactly is wrong, or the empty string where only the accepted form is said. */
  readonly bad: Readonly<Record<string, string>>;
  readonly accepts: string;
}

const LIST = 'a comma-separated list of host:port, [v6]:port, :port, unix:/path, unix:@name and fd://N';
const ADMIN = 'off, host:port, [v6]:port, :port, unix:/path or unix:@name';
const PEERS = 'a comma-separated list of IP addresses, CIDRs, loopback, linklocal and uniquelocal, or *';
const tcp = (host: string, port: number): BindAddress => ({ kind: 'tcp', host, port });
const unix = (path: string): BindAddress => ({ kind: 'unix', path });
const none = (text: string) => ({ [text]: `${text} is not one of these` });

type AddressKey = 'host' | 'port' | 'bind' | 'forwardedAllowIps' | 'adminBind';

export const ADDRESS_CASES: Record<AddressKey & keyof Settings, Case> = {
  host: {
    good: { localhost: 'localhost', '127.0.0.1': '127.0.0.1', '::': '::', '[::1]': '::1', 'My_App.': 'my_app.' },
    bad: { 'a b': '', '300.1.1.1': '', '8000': '', '[localhost]': '', 'a:80': '', '-a': '' },
    accepts: 'a host name or an IP address',
  },
  port: {
    good: { '0': 0, '80': 80, '65535': 65535 },
    bad: { '65536': '', '-1': '', '080': '', http: '', 'tcp://10.0.0.1:80': '' },
    accepts: 'a port from 0 to 65535',
  },
  bind: {
    good: {
      '127.0.0.1:80': [tcp('127.0.0.1', 80)],
      'localhost:0,localhost:0': [tcp('localhost', 0), tcp('localhost', 0)],
      '[::1]:8000, :8001,': [tcp('::1', 8000), tcp('0.0.0.0', 8001)],
      '[fe80::1%eth0]:80': [tcp('fe80::1%eth0', 80)],
      'unix:/run/a-{slot}.sock': [unix('/run/a-{slot}.sock')],
      'unix:///run/a.sock': [unix('/run/a.sock')],
      'unix:@app,unix:@app-{slot}': [unix('\0app'), unix('\0app-{slot}')],
      'unix:run/a.sock,unix:run/A.sock': [unix('/srv/app/run/a.sock'), unix('/srv/app/run/A.sock')],
      'fd://3,fd://0': [
        { kind: 'fd', fd: 3 },
        { kind: 'fd', fd: 0 },
      ],
      [`unix:/${'a'.repeat(106)}`]: [unix(`/${'a'.repeat(106)}`)],
    },
    bad: {
      ...none('8000'),
      ...none('localhost'),
      ...none('::1:8000'),
      ...none(':'),
      ...none('a:65536'),
      ...none('*:80'),
      ...none('300.0.0.1:80'),
      ...none('http://a:80'),
      ...none('fd://x'),
      ...none('[::1]'),
      'a:80,nonsense': 'nonsense is not one of these',
      ',': 'the list is empty',
      'fd://2': 'descriptors 1 and 2 are stdout and stderr',
      'unix:': 'unix: needs a path',
      'unix:@': 'unix:@ needs a name',
      'unix:@a,unix:@a': 'unix:@a is listed twice',
      'unix:/run/{worker}.sock': '/run/{worker}.sock has a placeholder other than {slot}',
      'Localhost:80,localhost:80': 'localhost:80 is listed twice',
      'unix:/run/a,unix:/run/x/../a': 'unix:/run/x/../a is listed twice',
      [`unix:/${'é'.repeat(54)}`]: `/${'é'.repeat(54)} has 109 bytes, and a unix socket's path at most 107`,
    },
    accepts: LIST,
  },
  forwardedAllowIps: {
    good: {
      '*': ['*'],
      'Loopback, linklocal,uniquelocal': ['loopback', 'linklocal', 'uniquelocal'],
      '10.0.0.0/8,2001:DB8::/32,::1,192.0.2.7,0.0.0.0/0': [
        '10.0.0.0/8',
        '2001:db8::/32',
        '::1',
        '192.0.2.7',
        '0.0.0.0/0',
      ],
    },
    bad: {
      ...none('10.0.0.0/33'),
      ...none('::/129'),
      ...none('10.0.0.0/08'),
      ...none('10.0.0.0/'),
      ...none('fe80::1%eth0'),
      ...none('proxy.internal'),
      ...none('*.*'),
      ',': 'the list is empty',
    },
    accepts: PEERS,
  },
  adminBind: {
    good: {
      off: undefined,
      ':9000': tcp('0.0.0.0', 9000),
      'unix:admin.sock': unix('/srv/app/admin.sock'),
      'unix:@admin': unix('\0admin'),
    },
    bad: {
      ...none('10464'),
      ...none('a:1,b:2'),
      'fd://3': 'a descriptor cannot be used here',
      'unix:/run/{slot}.sock': '{slot} cannot be used here',
    },
    accepts: ADMIN,
  },
};
