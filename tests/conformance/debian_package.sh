#!/bin/sh
# Installs, starts, upgrades, removes and purges the Debian package in a fresh Debian 12, as root:
#   tests/conformance/debian_package.sh PACKAGE.deb
# Succeeds when every step leaves what it has to; says so and succeeds when there is no debootstrap. The root is made by debootstrap
# from DEBIAN_MIRROR, and nothing runs in it but the daemon, in a network of its own. There is no systemd: a stand-in writes down what
# the maintainer scripts ask of it, and the daemon is started as the unit says. Needs curl, python3 and lintian, too.
set -eu

mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
minutes=15

if [ $# -ne 1 ]; then
  echo "usage: $0 PACKAGE.deb" >&2
  exit 2
fi
package=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
if ! command -v debootstrap >/dev/null; then
  echo "skipped: no debootstrap"
  exit 0
fi
if [ -z "${REVPROXYD_BOUNDED:-}" ]; then
  export REVPROXYD_BOUNDED=yes
  exec timeout --foreground "${minutes}m" "$0" "$package"
fi

directory=$(mktemp -d)
root=$directory/root
network=
daemon=
# shellcheck disable=SC2317  # called by the trap
clean_up() {
  for process in $daemon $network; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
step() { echo "$(date -u +%H:%M:%S) $*"; }

# within COMMAND...: in the root.
within() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

# quietly COMMAND...: what it says is shown only when it fails.
quietly() {
  "$@" >"$directory/said" 2>&1 || {
    tail -n 40 "$directory/said" >&2
    fail "$*"
  }
}

# packages APT-WORD...: apt-get without questions.
packages() { quietly within apt-get -y --no-install-recommends "$@"; }

# access PATH RIGHTS: mode, owner and group.
access() {
  is=$(within stat -c '%a %U %G' "$1") || fail "$1 is missing"
  [ "$is" = "$2" ] || fail "$1 is '$is', not '$2'"
}

# asked VERB...: that and nothing else was asked of systemd since the last time, however often in a row.
asked() {
  touch "$root/asked"
  is=$(sed -n -E 's/^(start|stop|restart|daemon-reload)( .*)?$/\1/p' "$root/asked" | uniq | tr '\n' ' ')
  [ "$is" = "$*${*:+ }" ] || fail "systemd was asked for '$is', not '$*'"
  : >"$root/asked"
}

# stand_in STATE: systemd as the scripts see it, with the unit in that state.
stand_in() {
  mkdir -p "$root/run/systemd/system"
  cat >"$root/usr/bin/systemctl" <<END
#!/bin/sh
while [ "\${1#--}" != "\$1" ]; do shift; done
echo "\$*" >>/asked
case \$1 in
  is-active) [ $1 = active ] ;;
  is-enabled) echo enabled ;;
  preset)
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -s "/lib/systemd/system/\$2" /etc/systemd/system/multi-user.target.wants/
    ;;
esac
END
  chmod 0755 "$root/usr/bin/systemctl"
}

inside() { nsenter "--net=/proc/$network/ns/net" "$@"; }
answer() { inside curl -sS --max-time 5 http://127.0.0.1:8080/; }

# start: what the unit's ExecStart says, as its user.
start() {
  command=$(sed -n 's/^ExecStart=//p' "$root/lib/systemd/system/revproxyd.service")
  install -d -m 0755 -o "$(within id -u revproxyd)" -g "$(within id -g revproxyd)" "$root/run/revproxyd"
  : >"$directory/log"
  # shellcheck disable=SC2086  # a command line
  nsenter "--net=/proc/$network/ns/net" chroot --userspec=revproxyd:revproxyd "$root" env -i PATH=/usr/sbin:/usr/bin $command 2>"$directory/log" &
  daemon=$!
  await "grep -q 'info: ready' $directory/log"
}

stop() {
  kill -TERM "$daemon"
  status=0
  wait "$daemon" 2>/dev/null || status=$?
  # What an upgrade has made is no child of this shell.
  if [ "$status" -eq 127 ]; then
    status=0
    while kill -0 "$daemon" 2>/dev/null; do sleep 0.1; done
  fi
  [ "$status" -eq 0 ] || fail "the daemon ended with $status"
  daemon=
}

# upgraded: the daemon is another process now, and systemd was asked for no restart.
upgraded() {
  asked daemon-reload
  next=$(sed -n 's/.*upgraded: process \([0-9]*\) serves.*/\1/p' "$directory/log" | tail -n 1)
  [ "${next:-$daemon}" != "$daemon" ] || fail "the binary was not upgraded"
  wait "$daemon" || true
  daemon=$next
}

# await COMMAND: until it succeeds, or the daemon has ended.
await() {
  tries=0
  until sh -c "$1"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$daemon" 2>/dev/null; then
      cat "$directory/log" >&2
      fail "never came: $1"
    fi
    sleep 0.1
  done
}

# newer NUMBER [LINE]: the package with a higher version, and with one more line in its configuration.
newer() {
  dpkg-deb -R "$package" "$directory/newer"
  sed -i "s/^Version: .*/&+$1/" "$directory/newer/DEBIAN/control"
  [ -z "${2:-}" ] || echo "$2" >>"$directory/newer/etc/revproxyd/revproxyd.yaml"
  dpkg-deb --root-owner-group -b "$directory/newer" "$root/newer.deb" >/dev/null
  rm -r "$directory/newer"
}

step "lintian"
lintian --allow-root --fail-on error,warning "$package" || fail "lintian"

step "a fresh Debian 12"
quietly debootstrap --variant=minbase bookworm "$root" "$mirror"
# Nothing of it has to survive a loss of power.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
packages update
packages install zsh bash-completion logrotate
cp "$package" "$root/package.deb"
unshare --net sleep infinity &
network=$!
until [ "$(readlink "/proc/$network/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do :; done
# No interface is up in a fresh network, and there may be no ip(8).
inside python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'

step "installation"
stand_in inactive
packages install /package.deb
asked daemon-reload start
within id revproxyd >/dev/null || fail "no user"
access /etc/revproxyd "755 root root"
access /etc/revproxyd/revproxyd.yaml "640 root revproxyd"
access /var/lib/revproxyd "700 revproxyd revproxyd"
access /var/log/revproxyd "750 revproxyd revproxyd"
[ -L "$root/etc/systemd/system/multi-user.target.wants/revproxyd.service" ] || fail "the unit is not enabled"
quietly within revproxyd -t --strict -c /etc/revproxyd/revproxyd.yaml
[ -z "$(within dpkg --verify revproxyd)" ] || fail "dpkg --verify"

step "completions"
within bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader revproxyd; complete -p revproxyd' |
  grep -q _revproxyd || fail "bash does not know revproxyd"
# shellcheck disable=SC2016  # for zsh
[ "$(within zsh -fc 'autoload -Uz compinit; compinit -D; print $_comps[revproxyd]')" = _revproxyd ] || fail "zsh does not know revproxyd"

step "start"
start
answer | grep -q 'revproxyd is installed' || fail "no answer"
quietly chroot "$root" revproxyd ctl reload
await "grep -q '\"status\":200' $root/var/log/revproxyd/access.json"

step "rotation"
quietly within logrotate -f /etc/logrotate.d/revproxyd
access /var/log/revproxyd/access.json.1 "640 revproxyd revproxyd"
# Only root may ask systemd for that, though the files are turned as revproxyd.
grep -q '^kill .*--signal=USR1 revproxyd.service' "$root/asked" || fail "rotation sent no signal"
kill -USR1 "$daemon"
answer >/dev/null
await "grep -q '\"status\":200' $root/var/log/revproxyd/access.json"

step "upgrade of a daemon that runs"
stand_in active
newer 1 "# new in the package"
packages install /newer.deb
upgraded
grep -q '^# new in the package' "$root/etc/revproxyd/revproxyd.yaml" || fail "an untouched file was not brought up to date"
access /etc/revproxyd/revproxyd.yaml "640 root revproxyd"
answer | grep -q 'revproxyd is installed' || fail "no answer after the upgrade"

step "upgrade with a file of the administrator"
sed -i 's/body: .*/body: "mine"/' "$root/etc/revproxyd/revproxyd.yaml"
newer 2 "# new in the package"
packages install /newer.deb
upgraded
newer 3 "# newer in the package"
packages -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install /newer.deb
upgraded
[ "$(answer)" = mine ] || fail "the administrator's file was not kept"
stop

step "upgrade with a file that is refused, and one where policy forbids"
echo 'nonsense: 1' >>"$root/etc/revproxyd/revproxyd.yaml"
newer 4 "# newer in the package"
packages install /newer.deb
asked daemon-reload
grep -q "this version refuses" "$directory/said" || fail "the refusal was not told"
sed -i '/^nonsense/d' "$root/etc/revproxyd/revproxyd.yaml"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
newer 5 "# newer in the package"
packages install /newer.deb
asked daemon-reload
rm "$root/usr/sbin/policy-rc.d"

step "removal"
echo secret >"$root/etc/revproxyd/www.key"
packages remove revproxyd
asked stop daemon-reload
[ -e "$root/etc/revproxyd/revproxyd.yaml" ] || fail "removal took the configuration"
[ -d "$root/var/log/revproxyd" ] || fail "removal took the logs"
[ ! -e "$root/usr/sbin/revproxyd" ] || fail "removal left the binary"

step "installation again"
stand_in inactive
packages install /package.deb -o Dpkg::Options::=--force-confold --allow-downgrades
asked daemon-reload start
start
[ "$(answer)" = mine ] || fail "the administrator's file was not taken up again"
stop

step "purge"
packages purge revproxyd
asked stop daemon-reload
left=$(cd "$root" && find . -xdev -name '*revproxyd*' | sort | tr '\n' ' ')
[ "$left" = "./etc/revproxyd " ] || fail "a purge left: $left"
[ "$(cat "$root/etc/revproxyd/www.key")" = secret ] || fail "a purge took what was not the package's"
within id revproxyd >/dev/null || fail "a purge took the user"

step "without systemd"
rm -r "$root/run/systemd" "$root/usr/bin/systemctl" "$root/etc/revproxyd"
packages install /package.deb
start
answer | grep -q 'revproxyd is installed' || fail "no answer without systemd"
stop
packages purge revproxyd
left=$(cd "$root" && find . -xdev -name '*revproxyd*')
[ -z "$left" ] || fail "a purge left: $left"

step "all is well"
