#!/bin/sh
# Writes the list of upstream servers: one per worker on unix sockets, one per address on TCP. Follows new workers and
# containers while nginx runs, because open-source nginx looks at neither by itself.
#
#   first    waits until there is a server, and writes the list
#   follow   checks repeatedly, and reloads nginx when the list changes
set -eu

# Entries: unix:/path with {slot} for each worker's socket, unix:/path, or host:port.
[ -n "${NGINX_UPSTREAM:-}" ] || NGINX_UPSTREAM='unix:/run/tsunicorn/app-{slot}.sock'
: "${NGINX_UPSTREAM_WAIT:=60}" "${NGINX_UPSTREAM_INTERVAL:=2}"
list=/tmp/nginx/upstream-servers.conf

# The servers of one entry, one per line.
servers_of() {
  case $1 in
    unix:*'{slot}'*)
      path=${1#unix:}
      for socket in "${path%%'{slot}'*}"[0-9]*"${path#*'{slot}'}"; do
        [ ! -S "$socket" ] || echo "unix:$socket"
      done | sort -V
      ;;
    unix:*) [ ! -S "${1#unix:}" ] || echo "$1" ;;
    *)
      getent ahosts "${1%:*}" | awk -v port="${1##*:}" '
        $2 == "STREAM" && !seen[$1]++ { print ($1 ~ /:/ ? "[" $1 "]" : $1) ":" port }' | sort -V
      ;;
  esac
}

servers() {
  for entry in $NGINX_UPSTREAM; do servers_of "$entry"; done | tr '\n' ' '
}

# A server that fails is skipped for a second: its worker's successor, or another container, is there by then. The last
# try of a GET asks even those, in case all have failed within that second.
write() {
  for server in $1; do echo "server $server max_fails=0;"; done >/tmp/nginx/upstream-last-try.conf
  for server in $1; do echo "server $server max_fails=1 fail_timeout=1s;"; done >"$list"
}

# some_not_in WORDS OTHERS
some_not_in() {
  for word in $1; do
    case " $2 " in *" $word "*) ;; *) return 0 ;; esac
  done
  return 1
}

case $1 in
  first)
    waited=0
    until now=$(servers) && [ -n "$now" ]; do
      if [ "$waited" -ge "$NGINX_UPSTREAM_WAIT" ]; then
        echo "$0: no upstream server within $NGINX_UPSTREAM_WAIT s: NGINX_UPSTREAM=$NGINX_UPSTREAM" >&2
        exit 69
      fi
      waited=$((waited + 1))
      sleep 1
    done
    write "$now"
    ;;
  follow)
    [ "$NGINX_UPSTREAM_INTERVAL" != 0 ] || exit 0
    # A reload ends clients' idle connections, so it has to be worth it: at once for a new server, and for one that is
    # gone only if it does not come back, as a restarted container does.
    current=$(sed -n 's/^server \([^ ]*\) .*/\1/p' "$list" | tr '\n' ' ')
    rounds_gone=0
    while sleep "$NGINX_UPSTREAM_INTERVAL"; do
      now=$(servers)
      [ -n "$now" ] || continue
      if some_not_in "$current" "$now"; then rounds_gone=$((rounds_gone + 1)); else rounds_gone=0; fi
      some_not_in "$now" "$current" || [ "$rounds_gone" -ge 30 ] || continue
      write "$now"
      nginx -c /tmp/nginx/nginx.conf -s reload || continue
      current=$now
      rounds_gone=0
      echo "$0: upstream servers are now: $now" >&2
    done
    ;;
esac
