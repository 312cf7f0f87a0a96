# shellcheck shell=sh disable=SC2034
# The Debian 12 packages that building, testing and checking need. Sourced by the scripts that install them:
#   . packaging/dependencies.sh; install_packages $BUILD_PACKAGES

BUILD_PACKAGES="g++ cmake ninja-build ccache pkg-config libboost1.81-dev libssl-dev libyaml-cpp-dev
  libspdlog-dev libnghttp2-dev libc-ares-dev libre2-dev"

# What the preset `release` prefers to g++ (packaging/toolchain.cmake).
COMPILER_PACKAGES="clang-19 lld-19 llvm-19"

# On top of the above, for the Debian package.
PACKAGE_PACKAGES="dpkg-dev file"

# On top of both, for tests/run.sh.
TEST_PACKAGES="libgtest-dev adduser curl openssl systemd python3 python3-websockets python3-grpcio nghttp2-client
  $PACKAGE_PACKAGES"

# On top of all, for .ci/run.
CHECK_PACKAGES="clang-14 clang-format-14 llvm-14 libclang-rt-14-dev"

# install_packages NAME...: installs those that are missing; asks nothing, says little, and does not touch apt when all are there.
install_packages() {
  missing=""
  for package in "$@"; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "missing packages:$missing" >&2
      echo "install them as root, or install sudo" >&2
      return 1
    fi
    as_root="sudo"
  fi
  echo "installing:$missing"
  # shellcheck disable=SC2086  # a list of words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 update </dev/null &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -y --no-install-recommends install $missing </dev/null >/dev/null
}

# install_compiler: a release is built without it as well.
install_compiler() {
  # shellcheck disable=SC2086  # a list of words
  install_packages $COMPILER_PACKAGES ||
    echo "clang 19 cannot be had: g++ builds the release, which then takes some 6 % more CPU a request" >&2
}
