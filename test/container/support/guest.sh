#!/usr/bin/env bash
# Runs containers under a real cgroup v2 kernel, whatever this machine has: Debian's user-mode Linux, one CPU, with
# crun. Nothing of this machine's own cgroups is touched.
#
# usage: [LEAK_SECONDS=20] guest.sh DIRECTORY ROOTFS.tar CASES
#   CASES is a folder of crun configurations, NAME.json each; what they print comes out between lines "=== NAME" and
#   "=== exit STATUS". A case whose name begins with "serve" gets SIGTERM once it is ready, one that begins with "eat"
#   once it has been made to eat all its memory and is ready again, one that begins with "resize" once it has been given
#   a whole core and has three workers, and then 400 MiB of memory and has two, one that begins with "leak" after LEAK_SECONDS of load.
set -euo pipefail
dir=$1 tar=$2 cases=$3
work=$dir/guest
root=$work/root
leak=${LEAK_SECONDS:-20}

if [ ! -x "$dir/uml/usr/bin/linux.uml" ]; then
  mkdir -p "$dir/uml" "$dir/uml.deb"
  (cd "$dir/uml.deb" && apt-get -o APT::Sandbox::User=root -qq download user-mode-linux)
  dpkg-deb --fsys-tarfile "$dir"/uml.deb/*.deb | tar -C "$dir/uml" -x ./usr/bin
fi

rm -rf "$work"
mkdir -p "$root"/{bin,usr/bin,usr/lib,usr/lib64,proc,sys,dev,run,tmp,cases,bundle/rootfs}
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
cp /bin/busybox "$root/bin/"
for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
cp /usr/bin/crun "$root/usr/bin/"
for library in $(ldd /usr/bin/crun | grep -oE '/[^ ]+\.so[^ ]*'); do
  mkdir -p "$root/usr$(dirname "${library#/usr}")"
  cp -L "$library" "$root/usr${library#/usr}"
done
tar -C "$root/bundle/rootfs" -xf "$tar"
cp "$cases"/*.json "$root/cases/"
echo "$leak" >"$root/cases/seconds"

cat >"$root/init" <<'SH'
#!/bin/sh
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
echo "controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
cd /bundle
mount -t proc proc /bundle/rootfs/proc
mount -t devtmpfs dev /bundle/rootfs/dev
for file in /cases/*.json; do
  name=$(basename "$file" .json)
  echo "=== $name"
  case $name in
    serve*)
      crun --cgroup-manager=cgroupfs run -f "$file" "$name" </dev/null 2>&1 &
      i=0
      until wget -qO- http://127.0.0.1:10464/readyz || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      for pid in $(cat "/sys/fs/cgroup/$name/cgroup.procs"); do tr '\0' ' ' <"/proc/$pid/cmdline"; echo; done
      crun kill "$name" TERM
      wait $!
      ;;
    eat*)
      crun --cgroup-manager=cgroupfs run -f "$file" "$name" </dev/null 2>&1 &
      i=0
      until wget -qO- http://127.0.0.1:10464/readyz || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      wget -qO- http://127.0.0.1:8000/eat || true
      i=0
      until wget -qO- http://127.0.0.1:10464/metrics | grep '^tsunicorn_worker_restarts_total{reason="oom"} 1' || [ $i -ge 100 ]; do i=$((i + 1)); sleep 0.2; done
      wget -qO- http://127.0.0.1:10464/metrics | grep '^tsunicorn_cgroup_oom_kills_total'
      until wget -qO- http://127.0.0.1:10464/readyz || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      crun kill "$name" TERM
      wait $!
      ;;
    leak*)
      crun --cgroup-manager=cgroupfs run -f "$file" "$name" </dev/null 2>&1 &
      i=0
      until wget -qO- http://127.0.0.1:10464/readyz || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      chroot /bundle/rootfs /usr/local/bin/node /app/leak-client.ts "$(cat /cases/seconds)"
      wget -qO- http://127.0.0.1:10464/metrics | grep '^tsunicorn_worker_restarts_total'
      cat "/sys/fs/cgroup/$name/memory.events"
      echo "peak $(cat "/sys/fs/cgroup/$name/memory.peak")"
      crun kill "$name" TERM
      wait $!
      ;;
    resize*)
      crun --cgroup-manager=cgroupfs run -f "$file" "$name" </dev/null 2>&1 &
      i=0
      until wget -qO- http://127.0.0.1:10464/readyz || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      echo "100000 100000" >"/sys/fs/cgroup/$name/cpu.max"
      until wget -qO- http://127.0.0.1:10464/readyz | grep '3 of 3 workers are ready' || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      echo 400M >"/sys/fs/cgroup/$name/memory.max"
      until wget -qO- http://127.0.0.1:10464/readyz | grep '2 of 2 workers are ready' || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done
      crun kill "$name" TERM
      wait $!
      ;;
    *) crun --cgroup-manager=cgroupfs run -f "$file" "$name" </dev/null 2>&1 ;;
  esac
  echo "=== exit $?"
done
sync
poweroff -f
SH
chmod +x "$root/init"

size=$(($(du -sm "$root" | cut -f1) + 64))
truncate -s "${size}M" "$work/root.img"
mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0,lazy_itable_init=1 -d "$root" "$work/root.img"
rm -rf "$root"
leaks=$(find "$cases" -name 'leak*.json' | wc -l)
TMPDIR=/dev/shm timeout $((150 + leaks * (leak + 40))) "$dir/uml/usr/bin/linux.uml" mem=1500M ubd0r="$work/root.img" root=/dev/ubda ro rootfstype=ext4 \
  init=/init cgroup_no_v1=all quiet panic=-1 con0=fd:0,fd:1 con=null umid="tsunicorn$$" </dev/null 2>&1 || true
rm -rf "$work"
