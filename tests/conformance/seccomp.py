#!/usr/bin/env python3
"""Runs a command under the system call filter of packaging/revproxyd.service.

    tests/conformance/seccomp.py build/release/revproxyd -c FILE

Needs systemd-analyze (for what the groups mean) and libseccomp. What the filter refuses fails with
EPERM, as SystemCallErrorNumber= says."""
import ctypes
import errno
import os
import pathlib
import subprocess
import sys

UNIT = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "revproxyd.service"
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM


def members(group):
    """The calls of a group, with those of the groups in it."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True,
                          capture_output=True, text=True).stdout
    calls = set()
    for line in text.splitlines()[1:]:
        word = line.strip()
        if word.startswith("#") or not word:
            continue
        calls |= members(word) if word.startswith("@") else {word}
    return calls


def allowed():
    calls = set()
    for line in UNIT.read_text().splitlines():
        name, _, value = line.partition("=")
        if name != "SystemCallFilter":
            continue
        drop = value.startswith("~")
        for word in value.lstrip("~").split():
            group = members(word) if word.startswith("@") else {word}
            calls = calls - group if drop else calls | group
    # systemd adds what it needs itself to start the program.
    return calls | members("@default") | {"execve"}


def main():
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    filter_ = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE)))
    for call in allowed():
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            library.seccomp_rule_add(filter_, ctypes.c_uint32(ALLOW), number, 0)
    if library.seccomp_load(filter_) != 0:
        sys.exit("the filter cannot be loaded")
    os.execv(sys.argv[1], sys.argv[1:])


main()
