/** Addresses to listen on, as `TSUNICORN_BIND` names them. Their parser is in config/bind-address.ts. */
export type BindAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /**
   * `path` is absolute, or a null byte and the name of an abstract socket (unix(7)); `{slot}` in it stands for the worker's
   * slot.
   */
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'fd'; readonly fd: number };

/** What the path of an abstract socket begins with: it has a name and no file. */
export const ABSTRACT = '\0';

/** In the form of `TSUNICORN_BIND`. */
export function formatBindAddress(address: BindAddress): string {
  switch (address.kind) {
    case 'tcp':
      return `${bracketed(address.host)}:${address.port}`;
    case 'unix':
      return `unix:${address.path.replace(ABSTRACT, '@')}`;
    case 'fd':
      return `fd://${address.fd}`;
    default:
      return address satisfies never;
  }
}

export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
