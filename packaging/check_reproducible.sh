#!/bin/sh
# Builds the release and its Debian package twice, in two directories, without a compiler cache and with another time zone, locale
# and umask, and compares:
#   packaging/check_reproducible.sh [DIRECTORY]
# Succeeds when the binaries and the packages are identical, byte for byte. DIRECTORY is kept, and what was built there before is
# not built again; without it a temporary one is used. Takes two builds of everything.
set -eu
cd "$(dirname "$0")/.."
sources=$(pwd)

if [ $# -gt 1 ]; then
  echo "usage: $0 [DIRECTORY]" >&2
  exit 2
fi
if [ $# -eq 1 ]; then
  mkdir -p "$1"
  directory=$(cd "$1" && pwd)
else
  directory=$(mktemp -d)
  trap 'rm -rf "$directory"' EXIT
  trap 'exit 1' INT TERM
fi

# build PLACE MASK LOCALE ZONE: into $directory/PLACE. Whatever the day is called there, nothing of it may be seen in the result.
build() (
  place="$directory/$1"
  mkdir -p "$place"
  umask "$2"
  for part in CMakeLists.txt CMakePresets.json LICENSE config docs include packaging src; do
    cp -ru "$sources/$part" "$place/"
  done
  cd "$place"
  export LC_ALL="$3" TZ="$4" CCACHE_DISABLE=1
  unset SOURCE_DATE_EPOCH
  {
    cmake --preset release -DREVPROXYD_TESTS=OFF &&
      cmake --build --preset release --target package
  } >"$place/build.log" 2>&1 || {
    tail -n 60 "$place/build.log" >&2
    exit 1
  }
)

build a 022 C UTC
build a-longer-name/and/deeper 077 C.UTF-8 Pacific/Auckland

# compare FILE...: the first of each name in both places.
failed=0
compare() {
  first=$(sha256sum <"$directory/a/build/release/$1")
  second=$(sha256sum <"$directory/a-longer-name/and/deeper/build/release/$1")
  if [ "$first" = "$second" ]; then
    echo "$1: identical, sha256 ${first%% *}"
  else
    echo "$1: differs, sha256 ${first%% *} and ${second%% *}" >&2
    failed=1
  fi
}
compare revproxyd
compare "$(cd "$directory/a/build/release" && echo revproxyd_*.deb)"
exit "$failed"
