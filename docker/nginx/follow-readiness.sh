#!/bin/sh
# For nginx beside the app in one pod: asks the app's /readyz, and leaves a file behind while that does not say 200.
# nginx then ends the connection of each client with its response, as tsunicorn itself does while it drains; without
# that, clients with open connections would go on sending until the app is gone.
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
