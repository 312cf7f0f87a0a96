#!/bin/sh
# Upgrades of the binary under load: HTTP/1.1 plain and over TLS, kept and fresh connections, HTTP/2
# plain and over TLS. Prints how many requests were answered; fails when one was not.
#   tests/bench/upgrades.sh [BUILD_DIRECTORY [ROUNDS]]
set -eu
build=${1:-build/release}
REVPROXYD_UPGRADES=${2:-20} exec "$build/tests/integration" --gtest_filter=BinaryUpgrade.FailsNoRequestUnderLoad
