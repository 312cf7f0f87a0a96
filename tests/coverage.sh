#!/bin/bash
# How many lines of src and include the tests reach: builds the preset coverage, runs the unit and integration tests and prints
# the lines covered by file and by module. Fails when a test does, or when less than 90 % of all lines were reached.
#   tests/coverage.sh [--no-run] [options of tests/coverage.py]
# With --no-run it reports what the last run has left.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build/coverage
# Another daemon, which an environment may name for the tests, counts nothing here.
unset REVPROXYD_BINARY

if [ "${1:-}" = "--no-run" ]; then
  shift
else
  cmake --preset coverage >/dev/null
  # Counters of earlier runs, which those of sources that have changed do not go with.
  find "$build" -name '*.gcda' -delete
  cmake --build --preset coverage -j "$(nproc)"
  ctest --preset coverage -j 2 -L 'unit|integration' --no-tests=error --repeat until-pass:2
fi
exec tests/coverage.py --build "$build" --least 90 "$@"
