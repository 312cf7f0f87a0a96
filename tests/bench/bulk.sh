#!/bin/sh
# 1,000 reloads in 10 minutes beside open WebSockets and downloads, and 10,000 hosts with
# certificates and routes: memory and times.
#   tests/bench/bulk.sh [BUILD_DIRECTORY]
set -eu
build=${1:-build/release}
REVPROXYD_HOSTS=10000 "$build/tests/integration" --gtest_filter=Bulk.ManyHosts*
REVPROXYD_RELOADS=1000 REVPROXYD_RELOAD_PAUSE_MS=560 "$build/tests/integration" --gtest_filter=Bulk.Reloads*
