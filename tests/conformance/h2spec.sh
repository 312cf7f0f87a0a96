#!/bin/sh
# Runs the HTTP/2 conformance suite h2spec against the daemon, over TLS and over cleartext:
#   tests/conformance/h2spec.sh REVPROXYD_BINARY H2SPEC_BINARY
# Succeeds when every test passes both times; says so and succeeds when there is no h2spec.
# The daemon forwards to a server that answers when the request is whole: the suite sends frames behind a request's head, and an
# early answer, which is allowed, would close the stream that they are about. Needs python3.
set -eu

tests=146

if [ $# -ne 2 ]; then
  echo "usage: $0 REVPROXYD_BINARY H2SPEC_BINARY" >&2
  exit 2
fi
revproxyd=$1
h2spec=$2
if [ ! -x "$h2spec" ]; then
  echo "skipped: no h2spec at $h2spec"
  exit 0
fi

directory=$(mktemp -d)
daemon=
server=
# shellcheck disable=SC2317  # called by the trap
clean_up() {
  for process in $daemon $server; do
    kill "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

cat >"$directory/server.py" <<'END'
import asyncio

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n"

async def take_chunks(reader):
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    while await reader.readline() != b"\r\n":
        pass

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = head.lower()
            if b"transfer-encoding: chunked" in fields:
                await take_chunks(reader)
            elif b"content-length:" in fields:
                await reader.readexactly(int(fields.split(b"content-length:")[1].split(b"\r\n")[0]))
            writer.write(ANSWER + (b"" if head.startswith(b"HEAD ") else b"an answer of some bytes"))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
END

# wait_for TEXT FILE PROCESS: until the file has the text.
wait_for() {
  tries=0
  until grep -q "$1" "$2"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$3" 2>/dev/null; then
      echo "no '$1' came:" >&2
      cat "$2" >&2
      exit 1
    fi
    sleep 0.1
  done
}

: >"$directory/server"
python3 "$directory/server.py" >"$directory/server" 2>&1 &
server=$!
wait_for '^[0-9]*$' "$directory/server" "$server"

cat >"$directory/proxy.yaml" <<END
listeners:
  - { name: tls, address: '127.0.0.1:0', tls: internal }
  - { name: plain, address: '127.0.0.1:0', protocols: [h2] }
routes: [ { to: 'http://127.0.0.1:$(cat "$directory/server")' } ]
access_log: off
admin: { socket: $directory/admin.sock }
shutdown: { drain: 1s }
END

: >"$directory/log"
"$revproxyd" -c "$directory/proxy.yaml" 2>"$directory/log" &
daemon=$!
wait_for 'info: ready' "$directory/log" "$daemon"

# port NAME: of that listener, from the daemon's log.
port() {
  sed -n "s/.*: listener $1: listening on .*:\\([0-9]*\\)\$/\\1/p" "$directory/log" | head -n 1
}

# check NAME OPTION...: one run; its failures and its summary are printed.
check() {
  name=$1
  shift
  "$h2spec" "$@" >"$directory/report" 2>&1 || true
  summary=$(grep "^$tests tests, $tests passed, 0 skipped, 0 failed" "$directory/report") && {
    echo "$name: $summary"
    return 0
  }
  sed -n '/^Failures:/,$p' "$directory/report"
  echo "$name: $(grep ' tests, .* passed' "$directory/report" || tail -n 1 "$directory/report")"
  return 1
}

failed=0
check "over TLS" -h 127.0.0.1 -p "$(port tls)" -t -k || failed=1
check "over cleartext" -h 127.0.0.1 -p "$(port plain)" || failed=1
if ! kill -0 "$daemon" 2>/dev/null; then
  echo "the daemon has ended:" >&2
  tail -n 20 "$directory/log" >&2
  failed=1
fi
exit $failed
