#!/bin/sh
# For nginx in one pod with the app: polls the app's /readyz, and creates a file while the answer is not 200. nginx then
# ends each client's connection with its response, as tsunicorn does while it drains. Otherwise clients with open
# connections would go on sending until the app is gone.
set -eu

unready=/tmp/nginx/unready
while sleep "${NGINX_READYZ_INTERVAL:-1}"; do
  if curl -fs -o /dev/null --max-time 1 "$NGINX_READYZ"; then
    [ -e "$unready" ] || continue
    rm -f "$unready"
    echo "$0: the app is ready: connections are kept" >&2
  elif [ ! -e "$unready" ]; then
    : >"$unready"
    echo "$0: the app is not ready, or drains: connections end with their next response" >&2
  fi
done
