#!/bin/sh
# relative.sh FROM TO COMPILER ARGUMENT...: runs the compiler with its source file named below TO instead of FROM. clang keeps that
# name in what it writes for LTO, and what is inlined where would depend on the directory that the sources happen to be in.
from=$1
to=$2
shift 2
left=$#
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  case $argument in
    "$from"/*.cpp) argument=$to/${argument#"$from"/} ;;
  esac
  set -- "$@" "$argument"
done
exec "$@"
