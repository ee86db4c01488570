/** Addresses to listen on, as `TSUNICORN_BIND` names them. Their parser is in config/bind-address.ts. */
export type BindAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** `path` is absolute; `{slot}` in it stands for the worker's slot. */
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'fd'; readonly fd: number };

/** In the form of `TSUNICORN_BIND`. */
export function formatBindAddress(address: BindAddress): string {
  switch (address.kind) {
    case 'tcp':
      return `${bracketed(address.host)}:${address.port}`;
    case 'unix':
      return `unix:${address.path}`;
    case 'fd':
      return `fd://${address.fd}`;
    default:
      return address satisfies never;
  }
}

export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
