#!/bin/sh
# Installs what is missing, builds the release and runs every test with it.
#   tests/run.sh [--no-install] [ctest options]
set -eu
cd "$(dirname "$0")/.."
. packaging/dependencies.sh

if [ "${1:-}" = "--no-install" ]; then
  shift
else
  # shellcheck disable=SC2086  # lists of words
  install_packages $BUILD_PACKAGES $TEST_PACKAGES
  install_compiler
fi

jobs=$(nproc)
cmake --preset release -DREVPROXYD_TESTS=ON >/dev/null
cmake --build --preset release -j "$jobs"
# Real clocks and real sockets on a busy machine: a test that fails once and then passes is told apart from one that is broken.
exec ctest --preset release -j 3 --no-tests=error --repeat until-pass:2 "$@"
