/** What people are told where an address cannot be bound. */
import { type BindAddress, formatBindAddress } from '../config/bind-address.ts';
import { HaltServer } from '../errors.ts';

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use by another process (EADDRINUSE)',
  EADDRNOTAVAIL: 'this machine does not have that address (EADDRNOTAVAIL)',
  EACCES: 'permission denied (EACCES): ports below 1024 and foreign directories need more rights',
  ENOENT: 'the directory of the socket does not exist (ENOENT)',
  ENOTDIR: 'the directory of the socket is not a directory (ENOTDIR)',
  EROFS: 'the file system is read-only (EROFS): mount a writable volume there',
  ENOTFOUND: 'the host name cannot be resolved (ENOTFOUND)',
  EBADF: 'there is no such open descriptor (EBADF): the parent process has to pass it',
  ENOTSOCK: 'the descriptor is not a socket (ENOTSOCK)',
  EINVAL: 'the descriptor is not a stream socket (EINVAL)',
};

/** @param code of the error, or a reason in words */
export function cannotBind(address: BindAddress, code: string): HaltServer {
  return new HaltServer(`cannot bind ${formatBindAddress(address)}: ${WHY[code] ?? code}`, 'bind');
}
