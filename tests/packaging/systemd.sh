#!/bin/bash
# The Debian package under systemd: installed, reloaded, upgraded, broken, watched, activated by its sockets, removed and purged, while
# clients count what was not answered. It happens on a machine of its own (machine.sh), so nothing of it is seen here.
#   tests/packaging/systemd.sh DIRECTORY      which has the package
# Says what was found, a line each. Ends with 77 where such a machine cannot be had.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/packaging/machine.sh
. "$here/machine.sh"

unit=revproxyd.service
sockets=revproxyd.socket
shared=/srv/test
configuration=/etc/revproxyd/revproxyd.yaml
addresses=(127.0.0.1:8080 127.0.0.1:8443)
plain=http://127.0.0.1:8080
secure=https://127.0.0.1:8443
patience=30
failed=0

skip() {
  echo "skipped: $*"
  exit 77
}

ok() { echo "ok: $*"; }

# The journal has what systemd and the daemon say about it.
bad() {
  echo "FAILED: $*"
  inside journalctl --no-pager -o short-precise -n 40 -u "$unit" -u "$sockets"
  failed=1
}

# check WHAT COMMAND...: what it says is shown when it fails.
check() {
  local what=$1
  shift
  if "$@" >"$machine_directory/said" 2>&1; then
    ok "$what"
  else
    cat "$machine_directory/said"
    bad "$what: $*"
  fi
}

fails() { ! "$@"; }

# says_too TEXT COMMAND...: which succeeds.
says_too() {
  local text=$1 said
  shift
  said=$("$@" 2>&1) || {
    echo "$said"
    return 1
  }
  [[ $said == *"$text"* ]] || {
    echo "'$said' does not say '$text'"
    return 1
  }
}

# await COMMAND...: until it succeeds.
await() {
  local deadline=$((SECONDS + patience))
  until "$@" >"$machine_directory/awaited" 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat "$machine_directory/awaited"
      echo "never came: $*"
      return 1
    fi
    sleep 0.05
  done
}

property() { inside systemctl show -P "$1" "$unit"; }

main_process() { property MainPID; }

# is NAME PATTERN...: properties of the unit, all at one moment.
is() {
  local line names=() i
  local -A values=()
  for ((i = 1; i < $#; i += 2)); do names+=(-p "${!i}"); done
  while IFS= read -r line; do values[${line%%=*}]=${line#*=}; done < <(inside systemctl show "${names[@]}" "$unit")
  while [ $# -gt 0 ]; do
    # shellcheck disable=SC2053  # a pattern
    [[ ${values[$1]} == $2 ]] || {
      echo "$1 is '${values[$1]}', not '$2'"
      return 1
    }
    shift 2
  done
}

is_left_alone() { is MainPID "$1" ActiveState active NRestarts 0; }

# is_gone PROCESS...
is_gone() {
  local process
  for process in "$@"; do [ ! -d "$machine_root/proc/$process" ] || return 1; done
}

in_journal() { inside journalctl --no-pager -o cat -u "$unit" | grep -q -e "$1"; }

ask() { inside curl -sS --max-time 120 "$@"; }

# says TEXT [CURL-WORD...]: what the answer has in it.
says() {
  local text=$1 answer
  shift
  [ $# -gt 0 ] || set -- "$plain/"
  answer=$(ask "$@")
  [[ $answer == *"$text"* ]] || {
    echo "answered '$answer', not '$text'"
    return 1
  }
}

# configure TEXT [MORE [SHUTDOWN]]: what it answers, more of the file, and how long it takes for what.
configure() {
  cat >"$machine_root$configuration" <<YAML
version: 1
workers: 2
shutdown: { ${3:-drain: 1s, streams: 30s} }
listeners:
  - { name: http, address: "${addresses[0]}" }
  - { name: https, address: "${addresses[1]}", tls: internal }
upstreams:
  files: { servers: [ { url: http://127.0.0.1:9000 } ] }
routes:
  - { path: /files/**, strip_prefix: /files, to: files }
  - { respond: { status: 200, body: "$1" } }
access_log: { path: /var/log/revproxyd/access.json }
${2:-}
YAML
}

# drop_in UNIT LINE...: an administrator's edit of that unit.
drop_in() {
  local directory=/etc/systemd/system/$1.d
  shift
  mkdir -p "$machine_root$directory"
  printf '%s\n' "$@" >"$machine_root$directory/test.conf"
  inside systemctl daemon-reload
}

# begin_load [--restarts]
begin_load() {
  rm -f "$machine_root$shared"/load{,.over}
  inside /usr/bin/python3 $shared/load.py "$@" $shared/load "$plain/" "$secure/" "$plain/files/small" "$secure/files/small" &
  load=$!
  load_goes_on || bad "the clients have no answers"
}

counts() { head -n 1 "$machine_root$shared/load" 2>/dev/null; }

# have_more NUMBER COUNTS: answers each client, than it had.
have_more() {
  local i now had
  read -r -a now <<<"$(counts)"
  read -r -a had <<<"$2"
  [ "${#now[@]}" -gt 0 ] || return 1
  for i in "${!now[@]}"; do
    [ "${now[$i]}" -ge $((${had[$i]:-0} + $1)) ] || return 1
  done
}

load_goes_on() { await have_more 5 "$(counts)"; }

# end_load DURING: which failed no request.
end_load() {
  local count sum=0 missing
  touch "$machine_root$shared/load.over"
  wait "$load"
  for count in $(counts); do sum=$((sum + count)); done
  missing=$(($(wc -l <"$machine_root$shared/load") - 1))
  if [ "$sum" -gt 0 ] && [ "$missing" -eq 0 ]; then
    ok "$1: $sum requests answered, none failed"
  else
    tail -n +2 "$machine_root$shared/load" | head -n 20
    bad "$1: $sum requests answered, $missing failed"
  fi
}

# begin_download BYTES: of so many a second, whatever the daemon does meanwhile.
begin_download() {
  rm -f "$machine_root$shared/download"
  ask --limit-rate "$1" -o $shared/download "$plain/files/large" &
  download=$!
  await test -s "$machine_root$shared/download"
}

end_download() { wait "$download" && cmp "$machine_root$shared/download" "$machine_root$shared/files/large"; }

### Installation

install_package() { inside env DEBIAN_FRONTEND=noninteractive dpkg --force-confold -i "${1:-$shared/revproxyd.deb}"; }

runs_as_its_user() {
  local process user
  process=$(main_process)
  user=$(inside id -u revproxyd)
  [ "$user" -ne 0 ] && grep -qP "^Uid:\t$user\t$user\t$user\t$user$" "$machine_root/proc/$process/status" &&
    grep -qP '^NoNewPrivs:\t1$' "$machine_root/proc/$process/status" && grep -qP '^Seccomp:\t2$' "$machine_root/proc/$process/status"
}

installation() {
  inside dpkg -s revproxyd >/dev/null 2>&1 && inside dpkg -P revproxyd >/dev/null
  check "the package is installed" install_package
  check "the unit is enabled" inside systemctl is-enabled "$unit"
  check "the unit is active" inside systemctl is-active "$unit"
  check "the packaged configuration answers" says "revproxyd is installed"
  check "systemd hears what the daemon does" is StatusText "serving: configuration 1, *"
  check "it runs as its user, confined" runs_as_its_user
}

### Reload

reload() { inside systemctl reload "$unit"; }

reloads() {
  local before
  before=$(main_process)
  configure second
  check "a reload succeeds" reload
  check "a reload takes up the file" says second
  check "a reload leaves the unit active, with its process" is_left_alone "$before"
  configure third 'nonsense: 1'
  check "a reload of a file with an error fails" fails reload
  check "what was in force is served on" says second
  check "a refused reload leaves the unit active, with its process" is_left_alone "$before"
  check "systemd hears that it serves on" await is StatusText "serving: configuration 2, *"
  configure fourth
  check "a reload after a refused one succeeds" reload
  check "its file is in force" says fourth
}

### Confinement

# A key that only the group can read, for one more listener.
make_certificate() {
  inside openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=www.test -addext subjectAltName=DNS:www.test \
    -keyout /etc/revproxyd/www.key -out /etc/revproxyd/www.pem &&
    inside chgrp revproxyd /etc/revproxyd/www.key && inside chmod 0640 /etc/revproxyd/www.key
}

is_logged() { grep -q "\"path\":\"$1\"" "$machine_root/var/log/revproxyd/access.json"; }

reopens_log() {
  mv "$machine_root/var/log/revproxyd/access.json" "$machine_root/var/log/revproxyd/access.old"
  inside systemctl kill -s USR1 --kill-whom=main "$unit" && await test -e "$machine_root/var/log/revproxyd/access.json" &&
    ask "$plain/after-renaming" && await is_logged /after-renaming
}

rotates_log() {
  inside logrotate -f /etc/logrotate.d/revproxyd && await test -e "$machine_root/var/log/revproxyd/access.json" &&
    ask "$plain/after-rotation" && await is_logged /after-rotation
}

# A body that is as large as makes the daemon pass it on within the kernel.
passes_on_large_body() {
  ask --insecure "$1/files/large" | cmp - "$machine_root$shared/files/large"
}

confinement() {
  check "TLS with a certificate made at the start" says fourth --insecure "$secure/"
  check "a large body passes" passes_on_large_body "$plain"
  check "a large body passes over TLS" passes_on_large_body "$secure"
  check "a certificate is made" make_certificate
  configure fifth "certificates: [ { hosts: [www.test], cert: /etc/revproxyd/www.pem, key: /etc/revproxyd/www.key } ]"
  sed -i '/name: https/a\  - { name: www, address: "127.0.0.1:443", tls: {} }' "$machine_root$configuration"
  check "a key that its group may read is taken up, and a low port" reload
  check "its certificate is shown" says fifth --cacert /etc/revproxyd/www.pem --resolve www.test:443:127.0.0.1 https://www.test/
  ask "$plain/before-renaming" >/dev/null
  check "requests are logged" await is_logged /before-renaming
  check "USR1 opens the log again" reopens_log
  if [ -x "$machine_root/usr/sbin/logrotate" ]; then check "logrotate turns the log" rotates_log; fi
  check "root asks for the status" eval 'inside revproxyd ctl status | grep -q serving'
}

### Upgrade

# upgrade HOW COMMAND...: another process serves in the same run of the unit, and systemd has heard it from that.
upgrade() {
  local how=$1 before run
  shift
  before=$(main_process)
  run=$(property InvocationID)
  check "upgrade by $how" "$@"
  check "  systemd has another main process" await is MainPID "!($before|0)" ActiveState active InvocationID "$run" NRestarts 0 \
    StatusText "serving: configuration 1, *"
}

# upgrade_under_load HOW COMMAND...: and the old one goes when it has drained.
upgrade_under_load() {
  local before
  before=$(main_process)
  upgrade "$@"
  check "  clients go on" load_goes_on
  check "  the old process goes away" await is_gone "$before"
}

by_signal() { inside systemctl kill -s USR2 --kill-whom=main "$unit"; }

upgrades() {
  local i
  for i in 1 2; do
    upgrade_under_load "package $i" install_package
    upgrade_under_load "signal $i" by_signal
    upgrade_under_load "ctl $i" inside revproxyd ctl upgrade
  done
  check "a download of some seconds begins" begin_download 16M
  upgrade "ctl during a download" inside revproxyd ctl upgrade
  check "  which goes on to its end" end_download
  check "the last process runs as its user, confined" runs_as_its_user
  configure sixth
  check "a reload reaches it" reload
  check "its file is in force" says sixth
}

# put_binary FILE: in the place of the installed one by a rename, as dpkg does.
put_binary() { inside cp -p "$1" /usr/sbin/revproxyd.new && inside mv /usr/sbin/revproxyd.new /usr/sbin/revproxyd; }

# put_script LINE: as the binary.
put_script() {
  printf '#!/bin/sh\n%s\n' "$1" >"$machine_root$shared/script"
  chmod 755 "$machine_root$shared/script"
  put_binary $shared/script
}

# refused_upgrade WHAT COMMAND...: which succeeds, since it says what has become of the upgrade in some other way.
refused_upgrade() {
  local what=$1 before
  shift
  before=$(main_process)
  check "$what" "$@"
  check "  the old process serves on" await is MainPID "$before" ActiveState active NRestarts 0 StatusText "serving: *"
  check "  clients go on" load_goes_on
}

# A package with a binary that cannot start.
make_broken_package() {
  inside sh -ec "cd $shared; dpkg-deb -R revproxyd.deb broken; cp script broken/usr/sbin/revproxyd; dpkg-deb -Znone -b broken broken.deb"
}

refused_upgrades() {
  cp -p "$machine_root/usr/sbin/revproxyd" "$machine_root$shared/revproxyd"
  configure seventh "" "drain: 1s, upgrade: 1s"
  check "a reload shortens the patience with new binaries" reload
  put_script "exec sleep 600"
  refused_upgrade "ctl upgrade to a binary that does not get ready fails" fails inside $shared/revproxyd ctl upgrade
  configure seventh
  put_binary $shared/revproxyd
  check "a reload ends that" reload
  put_script "exit 1"
  refused_upgrade "ctl upgrade to a binary that ends at once fails" fails inside $shared/revproxyd ctl upgrade
  refused_upgrade "upgrade by signal to such a binary" by_signal
  check "  the log has it" await in_journal "upgrade refused: the new binary ended with status 1"
  check "such a binary is packed" make_broken_package
  refused_upgrade "its package is installed and says so" says_too "this version refuses" install_package $shared/broken.deb
  put_binary $shared/revproxyd
  upgrade_under_load "ctl when the binary is mended" inside revproxyd ctl upgrade
  configure seventh
  sed -i '/name: https/a\  - { name: taken, address: "127.0.0.1:9000" }' "$machine_root$configuration"
  refused_upgrade "a package that cannot serve an edited file says so" says_too "upgrade refused" install_package
  configure seventh
  upgrade_under_load "package when the file is mended" install_package
}

under_load() {
  begin_load
  upgrades
  refused_upgrades
  check "systemd killed nothing" fails in_journal "Killing process\|Main process exited"
  end_load "upgrades"
}

### Stop and start

stops() {
  local old new
  configure seventh "" "drain: 30s, streams: 60s"
  check "a reload" reload
  old=$(main_process)
  check "a download of some seconds begins" begin_download 16M
  upgrade "ctl during a download" inside revproxyd ctl upgrade
  new=$(main_process)
  check "a stop ends both processes" inside systemctl stop "$unit"
  check "  none is left" is_gone "$old" "$new"
  check "  the download was let finish" end_download
  check "  nobody listens" fails ask "$plain/"
  check "  the unit is inactive, not failed" is ActiveState inactive
  # A variable and a credential of the unit, which the next process has as well.
  echo -n secret >"$machine_root$shared/word"
  drop_in "$unit" "[Service]" "LoadCredential=word:$shared/word" "Environment=OTHER=word"
  configure '${credential:word} ${env:OTHER}'
  check "a start with a credential" inside systemctl start "$unit"
  check "  which it has" says "secret word"
  upgrade "ctl with a credential" inside revproxyd ctl upgrade
  check "  which the new process has" says "secret word"
  upgrade "package with a credential" install_package
  check "  which the new process has" says "secret word"
  check "a reload with a credential" reload
  drop_in "$unit" ""
}

### What goes wrong

# Restarts are many here, and no sign of a fault.
restart() { inside systemctl reset-failed "$unit" && inside systemctl restart "$unit"; }

troubles() {
  local before
  drop_in "$unit" "[Service]" "WatchdogSec=2s" "TimeoutAbortSec=2s"
  configure seventh
  check "a restart with a short watchdog" restart
  upgrade "ctl with a short watchdog" inside revproxyd ctl upgrade
  before=$(main_process)
  check "the process stands still" inside systemctl kill -s STOP --kill-whom=main "$unit"
  check "  the watchdog has another started" await is MainPID "!($before|0)" ActiveState active NRestarts 1
  check "  because nothing was heard of it" in_journal "Watchdog timeout"
  check "  and it answers" says seventh
  before=$(main_process)
  check "the process is killed" inside systemctl kill -s KILL --kill-whom=main "$unit"
  check "  another is started" await is MainPID "!($before|0)" ActiveState active NRestarts 2
  check "  and it answers" says seventh
  drop_in "$unit" ""
  configure eighth 'nonsense: 1'
  check "a start with a file that is refused fails" fails restart
  check "  and is not tried again" is ActiveState failed NRestarts 0
  check "  the journal has the reason" in_journal "nonsense"
  configure eighth
  check "a start with the mended file" restart
  check "  and it answers" says eighth
}

### Sockets of systemd

socket_activation() {
  local i
  inside systemctl stop "$unit"
  addresses=(:80 :443)
  plain=http://127.0.0.1:80
  secure=https://127.0.0.1:443
  configure ninth
  check "the sockets are enabled and started" inside systemctl enable --now "$sockets"
  check "  and no daemon runs" is ActiveState inactive
  check "a client that connects is served" says ninth
  check "  since that started the daemon" await is ActiveState active
  begin_load --restarts
  for i in 1 2 3; do
    check "restart $i with sockets of systemd" restart
    check "  clients go on" load_goes_on
  done
  upgrade_under_load "package with sockets of systemd" install_package
  check "a restart after the upgrade" restart
  check "  clients go on" load_goes_on
  end_load "restarts with sockets of systemd"
}

### Removal

nobody_listens() { fails ask "$plain/" && fails ask --insecure "$secure/"; }

# What the package and the daemon have made, apart from what this test has.
is_forgotten() {
  local left
  left=$(cd "$machine_root" && find etc var/log var/lib/systemd -name '*revproxyd*' -not -name 'revproxyd.*.d' &&
    find run var/lib usr/sbin -maxdepth 1 -name 'revproxyd*')
  [ -z "$left" ] || {
    echo "left: $left"
    return 1
  }
  is LoadState not-found && unit=$sockets is LoadState not-found
}

removal() {
  rm "$machine_root"/etc/revproxyd/www.{key,pem}
  check "removal with sockets of systemd" inside dpkg -r revproxyd
  check "  stops the daemon" fails is ActiveState active
  unit=$sockets check "  and the sockets" fails is ActiveState active
  check "  nobody listens" nobody_listens
  check "  the configuration is kept" test -e "$machine_root$configuration"
  check "installation again" install_package
  check "  with what was kept" says ninth
  unit=$sockets check "  with the sockets" is ActiveState active
  check "the unit is disabled and stopped" inside systemctl disable --now "$unit" "$sockets"
  check "  an installation" install_package
  check "  leaves it disabled" fails inside systemctl is-enabled "$unit"
  check "  and stopped" is ActiveState inactive
  check "it is enabled with its sockets" inside systemctl enable --now "$sockets" "$unit"
  check "a purge while it runs" inside dpkg -P revproxyd
  check "  nobody listens" nobody_listens
  check "  nothing is left" is_forgotten
}

# Another server has the port of the packaged configuration.
occupied() {
  inside /usr/bin/python3 -m http.server --bind 127.0.0.1 8080 >/dev/null 2>&1 &
  check "another server listens" await ask -o /dev/null http://127.0.0.1:8080/
  check "an installation beside it says so" says_too "the start failed" install_package
  inside systemctl stop "$unit"
  check "a purge" inside dpkg -P revproxyd
  check "  nothing is left" is_forgotten
}

# Servers behind the daemon, and files for them.
prepare() {
  machine_root=/proc/$machine_init/root
  mkdir -p "$machine_root$shared/files"
  cp "$here/load.py" "$machine_root$shared/"
  cp "$1" "$machine_root$shared/revproxyd.deb"
  echo small >"$machine_root$shared/files/small"
  head -c 64M /dev/urandom >"$machine_root$shared/files/large"
  inside /usr/bin/python3 -m http.server --protocol HTTP/1.1 --bind 127.0.0.1 --directory $shared/files 9000 >/dev/null 2>&1 &
}

if [ $# -ne 1 ]; then
  echo "usage: $0 DIRECTORY" >&2
  exit 2
fi
missing=$(machine_needs dpkg curl openssl /usr/bin/python3)
[ -z "$missing" ] || skip "$missing"
machine_own_mounts "$@" || skip "no namespace for mounts"
package=$(ls "$1"/revproxyd_*.deb) || exit 1
trap machine_end EXIT
trap 'exit 1' INT TERM HUP
machine_boot || skip "$machine_why"
prepare "$package"

installation
[ "$failed" -eq 0 ] || exit 1
reloads
confinement
under_load
stops
troubles
socket_activation
check "only the main process spoke to systemd" fails in_journal "reception only permitted"
check "systemd knew every main process as its child" fails in_journal "which is not our child"
removal
occupied
exit "$failed"
