#!/usr/bin/env bash
# Container engines for the tests, on a Debian machine that has none: podman with crun, and dockerd with BuildKit and
# Compose. No registry, no bridge network, no iptables: containers run with `--network host` or `none`.
#
# The engines run in a private mount namespace whose /sys/fs/cgroup leaves out the memory hierarchy of cgroup v1:
# where these tests run inside a container themselves, their own supervisor may live there. CPU quotas are real.
#
# usage: engine.sh DIRECTORY install|up-podman|down-podman|up-docker|down-docker
set -euo pipefail
dir=$1
controllers='cpu cpuacct cpuset pids devices freezer'
export DEBIAN_FRONTEND=noninteractive

# RUNLEVEL=1 keeps packages from starting their services.
apt_install() {
  local missing=() package
  for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return
  apt-get -qq update
  RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends install "${missing[@]}"
}

install() {
  apt_install podman crun buildah conmon catatonit netavark runc nginx haproxy prometheus gettext-base curl openssl \
    e2fsprogs busybox-static shellcheck
}

# A process that holds the namespace, and then runs "$@" in it.
hold_namespace() {
  mkdir -p "$dir/cgroup"
  # shellcheck disable=SC2016  # the inner shell expands
  setsid unshare --mount --propagation private bash -euc '
    dir=$1 controllers=$2 pidfile=$3; shift 3
    if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
      mount -t tmpfs -o mode=755 cgroup_root "$dir/cgroup"
      for controller in $controllers; do
        [ -d "/sys/fs/cgroup/$controller" ] || continue
        mkdir "$dir/cgroup/$controller"
        mount --bind "/sys/fs/cgroup/$controller" "$dir/cgroup/$controller"
      done
      umount -R -l /sys/fs/cgroup
      mount --move "$dir/cgroup" /sys/fs/cgroup
    fi
    echo $$ > "$pidfile"
    exec "$@"' bash "$dir" "$controllers" "$@" </dev/null
}

alive() { # pidfile
  [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null
}

up_podman() {
  # Without CAP_SYS_RESOURCE podman cannot raise limits, so it is told to take over those that there are.
  local files processes
  files=$(ulimit -Hn)
  processes=$(ulimit -Hu)
  [ "$processes" != unlimited ] || processes=$(cat /proc/sys/kernel/pid_max)
  [ "$processes" -le "$(cat /proc/sys/kernel/pid_max)" ] || processes=$(cat /proc/sys/kernel/pid_max)
  cat >"$dir/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=$processes:$processes"]
netns = "host"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "netavark"
CONF
  alive "$dir/podman.pid" && return
  rm -f "$dir/podman.pid"
  hold_namespace "$dir/podman.pid" sleep infinity >"$dir/podman.log" 2>&1 &
  for _ in $(seq 100); do alive "$dir/podman.pid" && return; sleep 0.1; done
  cat "$dir/podman.log" >&2
  return 1
}

down_podman() {
  alive "$dir/podman.pid" || return 0
  local pid
  pid=$(cat "$dir/podman.pid")
  CONTAINERS_CONF="$dir/containers.conf" timeout 60 nsenter --mount="/proc/$pid/ns/mnt" -- podman --root "$dir/store" \
    --runroot "$dir/runroot" rm --all --force --time=1 >/dev/null 2>&1 || true
  nsenter --mount="/proc/$pid/ns/mnt" -- umount -l "$dir/store/overlay" 2>/dev/null || true
  kill "$pid"
  rm -f "$dir/podman.pid"
  forget_cgroups libpod_parent
}

# dockerd, BuildKit and Compose v2 are in the next Debian release: unpacked beside the system, not installed.
fetch_docker() {
  [ ! -x "$dir/docker/usr/sbin/dockerd" ] || return 0
  local apt=$dir/apt uri options
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$dir/debs" "$dir/docker" "$dir/docker-config/cli-plugins"
  # shellcheck disable=SC2016  # apt's own placeholder
  uri=$(apt-get indextargets --format '$(REPO_URI)' | head -1)
  cat >"$apt/next.sources" <<SOURCES
Types: deb
URIs: $uri
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
  options=(-o Dir::Etc::SourceList="$apt/next.sources" -o Dir::Etc::sourceparts=/nonexistent
    -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=root)
  apt-get -qq "${options[@]}" update
  (cd "$dir/debs" && apt-get -qq "${options[@]}" download docker.io docker-cli containerd docker-buildx docker-compose)
  for deb in "$dir"/debs/*.deb; do dpkg-deb -x "$deb" "$dir/docker"; done
  cp "$dir"/docker/usr/libexec/docker/cli-plugins/* "$dir/docker-config/cli-plugins/"
  rm -rf "$dir/debs" "$apt"
}

up_docker() {
  fetch_docker
  alive "$dir/docker.pid" && return
  rm -f "$dir/docker.pid"
  export PATH="$dir/docker/usr/bin:$dir/docker/usr/sbin:$PATH" DOCKER_HOST="unix://$dir/docker.sock"
  export DOCKER_CONFIG="$dir/docker-config"
  hold_namespace "$dir/docker-namespace.pid" dockerd --bridge=none --iptables=false --ip6tables=false \
    --ip-forward=false --ip-masq=false --userland-proxy=false --storage-driver=overlay2 \
    --data-root "$dir/docker-data" --exec-root "$dir/docker-exec" --pidfile "$dir/docker.pid" \
    -H "$DOCKER_HOST" >"$dir/dockerd.log" 2>&1 &
  for _ in $(seq 300); do docker version >/dev/null 2>&1 && return; sleep 0.1; done
  tail "$dir/dockerd.log" >&2
  return 1
}

down_docker() {
  alive "$dir/docker.pid" || return 0
  local pid
  pid=$(cat "$dir/docker.pid")
  kill "$pid"
  # Under a foreign PID 1 the ended daemon may stay a zombie, which `kill -0` takes for alive.
  for _ in $(seq 200); do
    case "$(awk '{print $3}' "/proc/$pid/stat" 2>/dev/null)" in '' | Z) break ;; esac
    sleep 0.1
  done
  rm -f "$dir/docker.pid" "$dir/docker-namespace.pid"
  forget_cgroups docker
}

forget_cgroups() { # name
  local controller
  for controller in $controllers; do
    find "/sys/fs/cgroup/$controller/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

mkdir -p "$dir"
case $2 in
  install) install ;;
  up-podman) up_podman ;;
  down-podman) down_podman ;;
  up-docker) up_docker ;;
  down-docker) down_docker ;;
  *) echo "engine.sh: no such command: $2" >&2; exit 2 ;;
esac
