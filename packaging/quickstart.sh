#!/bin/sh
# Builds the release and runs it with config/quickstart.yaml in the foreground; Ctrl-C ends it.
set -eu
cd "$(dirname "$0")/.."
. packaging/dependencies.sh

# shellcheck disable=SC2086  # a list of words
install_packages $BUILD_PACKAGES
install_compiler

echo "building (the first time takes some minutes)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset release -DREVPROXYD_TESTS=OFF && cmake --build --preset release --target revproxyd; } >"$log" 2>&1; then
  tail -n 60 "$log" >&2
  exit 1
fi
rm -f "$log"
trap - EXIT

cat <<'TEXT'

revproxyd listens on http://localhost:8080 and https://localhost:8443. Try, in another terminal:

  curl -i http://localhost:8080/            two demo backends answer in turn
  curl -i http://localhost:8080/teapot      an answer of the proxy itself
  curl -i http://localhost:8080/old/page    a redirect
  curl -ik https://localhost:8443/          TLS with a certificate made at start

The configuration is config/quickstart.yaml; `kill -HUP` takes up what you change in it. Ctrl-C ends the daemon.

TEXT
exec build/release/revproxyd -c config/quickstart.yaml
