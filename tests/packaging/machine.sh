#!/bin/bash
# A machine of its own for a test, to be sourced: systemd as process 1 of its own namespaces, over a copy of this machine's files that
# is kept in memory. What it is asked to start is all that it starts, and it has no network but lo.
#   machine_needs COMMAND...   says what is missing, if anything
#   machine_boot               fails, with the reason in $machine_why, where a machine cannot be had
#   inside COMMAND...          runs there as root
#   machine_end                nothing is left of it
# It ends with the shell that has booted it, however that ends.

# shellcheck disable=SC2034  # some are for the script that sources this
machine_directory=
machine_starter=
machine_init=
machine_why=
machine_path=/usr/sbin:/usr/bin:/sbin:/bin

machine_needs() {
  local name
  [ "$(id -u)" -eq 0 ] || echo "root is needed"
  [ -x /lib/systemd/systemd ] || echo "there is no systemd"
  for name in unshare nsenter setpriv pivot_root "$@"; do
    PATH=$machine_path command -v "$name" >/dev/null || echo "there is no $name"
  done
}

# The mounts of the machine are seen by nobody else: to be called first, with the script's arguments.
machine_own_mounts() {
  [ -z "${MACHINE_OWN_MOUNTS:-}" ] || return 0
  unshare --mount true 2>/dev/null || return 1
  MACHINE_OWN_MOUNTS=yes exec unshare --mount --propagation private "$0" "$@"
}

machine_boot() {
  local deadline=$((SECONDS + 60)) state=
  machine_make_place || return 1
  # Where the shell ends without a word, the kernel ends the starter, and that the machine.
  setpriv --pdeathsig KILL unshare --pid --mount --net --uts --ipc --fork --kill-child \
    bash "${BASH_SOURCE[0]}" enter "$machine_directory" </dev/null >"$machine_directory/boot" 2>&1 &
  machine_starter=$!
  machine_why="systemd did not come up within a minute"
  while [ "$SECONDS" -lt "$deadline" ]; do
    if ! kill -0 "$machine_starter" 2>/dev/null; then
      machine_why=$(tail -n 3 "$machine_directory/boot")
      return 1
    fi
    read -r machine_init _ 2>/dev/null <"/proc/$machine_starter/task/$machine_starter/children"
    if [ -n "$machine_init" ] && [ "$(cat "/proc/$machine_init/comm" 2>/dev/null)" = systemd ]; then
      state=$(inside systemctl is-system-running 2>/dev/null)
      case $state in running | degraded) return 0 ;; esac
    fi
    sleep 0.05
  done
  return 1
}

inside() {
  nsenter --target "$machine_init" --mount --pid --net --uts --ipc --cgroup --root --wd -- env -i "PATH=$machine_path" LC_ALL=C.UTF-8 "$@"
}

machine_end() {
  [ -z "$machine_init" ] || kill -KILL "$machine_init" 2>/dev/null
  [ -z "$machine_starter" ] || wait "$machine_starter" 2>/dev/null
  [ -n "$machine_directory" ] || return 0
  [ ! -d "$machine_directory/group" ] || machine_remove_group "$(readlink "$machine_directory/group")"
  umount -l "$machine_directory" && rmdir "$machine_directory"
  machine_directory=
}

# A file system for what the machine writes, and a control group, since systemd wants to be the only one in its own.
machine_make_place() {
  local groups group old
  machine_directory=$(mktemp -d) || return 1
  machine_why="no tmpfs can be mounted"
  mount -t tmpfs -o mode=755 machine "$machine_directory" || return 1
  mkdir "$machine_directory"/{upper,work,root,groups}
  machine_why="no control groups (version 2) can be mounted"
  # One more mount could change the options of those that are there.
  groups=$(sed -n 's/^[^ ]* \([^ ]*\) cgroup2 rw.*/\1/p' /proc/mounts | head -n 1)
  if [ -z "$groups" ]; then
    groups=$machine_directory/groups
    mount -t cgroup2 machine "$groups" || return 1
  fi
  machine_why="no control group can be made"
  group=$groups$(sed -n 's/^0:://p' /proc/self/cgroup)/revproxyd-machine
  for old in "$group"-*; do
    if [ -d "$old" ] && [ ! -d "/proc/${old##*-}" ]; then machine_remove_group "$old"; fi
  done
  mkdir "$group-$$" && ln -s "$group-$$" "$machine_directory/group"
}

# With the groups that systemd has made in it, which are empty.
machine_remove_group() { find "$1" -depth -type d -exec rmdir {} +; }

# From here on as process 1 of the machine. The group of the moment becomes the root of what it sees of groups.
enter() {
  echo 0 >"$1/group/cgroup.procs"
  exec unshare --cgroup bash "$0" become_init "$1"
}

become_init() {
  mount -t overlay machine -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
  cd "$1/root"
  mount_kernel_files
  pivot_root . .
  umount -l .
  cd /
  forget_this_machine
  # In a container systemd leaves that to whoever made it; credentials of units come by it.
  mount --make-rshared /
  exec env -i "PATH=$machine_path" container=machine /lib/systemd/systemd --unit=multi-user.target
}

mount_kernel_files() {
  local name
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  for name in run tmp dev; do mount -t tmpfs "$name" "$name"; done
  chmod 755 run dev
  chmod 1777 tmp
  for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
  done
  mkdir dev/pts dev/shm
  mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
  mount -t tmpfs shm dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
}

# What is installed here is no matter of the test: no unit is wanted but the journal, and nobody forbids that one is started.
forget_this_machine() {
  local directory wants=/etc/systemd/system/sysinit.target.wants units=/lib/systemd/system
  for directory in /etc/systemd/system /etc/systemd/system-generators /lib/systemd/system-generators "$units"/*.wants; do
    [ ! -d "$directory" ] || mount -t tmpfs -o mode=755 nothing "$directory"
  done
  mkdir "$wants"
  ln -s "$units"/systemd-journald.s{ervice,ocket} "$units/systemd-journald-dev-log.socket" "$wants"
  # A machine without a number would take up every unit that it finds.
  tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
  rm -f /usr/sbin/policy-rc.d /var/lib/man-db/auto-update
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -e
  "$@"
fi
