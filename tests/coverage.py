#!/usr/bin/env python3
"""What gcov has counted of src and include, by file and by module.

    tests/coverage.py [--build DIRECTORY] [--least PERCENT] [--lines | --branches] [FILE...]

Prints the lines covered of each file, or of those whose path contains one of FILE. With --lines it prints the lines that were not
reached, with --branches those of which a way was not taken; ways that only an exception takes do not count, nor do those that the
compiler adds where a scope ends or a coroutine begins. Fails when less than PERCENT of the lines were reached."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[1]
FUNCTION = 0x01000000  # the tag of what gcov notes of a function


def within(path):
    """The path in the tree, or nothing of what is neither in src nor in include."""
    path = path.removeprefix(f"{TREE}/")
    return path if path.startswith(("src/", "include/revproxyd/")) else ""


def word(notes, at):
    return struct.unpack_from("<I", notes, at)[0]


def with_coroutines(notes):
    """Notes of gcov with the bodies of coroutines in them: g++ 12 marks these as made by itself, and gcov leaves such functions out."""
    if notes[:8] != b"oncg*22B":
        raise SystemExit("coverage.py: notes of gcov in a form other than that of g++ 12")
    at = 24 + word(notes, 16)  # behind magic, version, stamp, checksum, directory and a flag
    while at < len(notes):
        if word(notes, at) == FUNCTION:
            name = at + 20  # behind tag, size, number and two checksums
            mark = name + 4 + word(notes, name)
            if is_coroutine(notes[name + 4:mark].rstrip(b"\0").decode()):
                struct.pack_into("<I", notes, mark, 0)
        at += 8 + word(notes, at + 4)
    return notes


def is_coroutine(function):
    return function.endswith(".actor")


def counted(notes):
    """What one object says: [file, line, function, times, times of each branch]."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / notes.name
        copy.write_bytes(with_coroutines(bytearray(notes.read_bytes())))
        counters = notes.with_suffix(".gcda")  # of an object that was never run there are none
        if counters.exists():
            copy.with_suffix(".gcda").symlink_to(counters)
        text = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities", "--relative-only",
                               "--source-prefix", str(TREE), copy.name],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=scratch).stdout
    found = []
    for document in text.splitlines():
        for file in json.loads(document)["files"]:
            path = within(file["file"])
            for line in file["lines"] if path else ():
                ways = [way["count"] for way in line["branches"] if not way["throw"]]
                found.append((path, line["line_number"], line.get("function_name", ""), line["count"], ways))
    return found


def collect(build):
    """file -> line -> times, and file -> line -> function -> [times of each branch]; over all objects."""
    times = collections.defaultdict(collections.Counter)
    branches = collections.defaultdict(lambda: collections.defaultdict(dict))
    notes = sorted(pathlib.Path(build).resolve().rglob("*.gcno"))
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for found in pool.map(counted, notes):
            for file, line, function, count, ways in found:
                times[file][line] += count
                before = branches[file][line].get((function, len(ways)), [0] * len(ways))
                branches[file][line][(function, len(ways))] = [a + b for a, b in zip(before, ways)]
    return times, branches


def module_of(path):
    return path.removeprefix("include/revproxyd/").removeprefix("src/").split("/")[0]


def row(name, covered, total):
    return f"{name:<48} {covered:>6} of {total:>6}  {100.0 * covered / max(total, 1):6.1f} %"


def print_files(times, files):
    modules = collections.defaultdict(lambda: [0, 0])
    for file in files:
        covered, total = sum(count > 0 for count in times[file].values()), len(times[file])
        print(row(file, covered, total))
        for sums in modules[module_of(file)], modules["all"]:
            sums[0] += covered
            sums[1] += total
    print()
    for module in sorted(modules, key=lambda name: (name == "all", name)):
        print(row(module, *modules[module]))
    return 100.0 * modules["all"][0] / max(modules["all"][1], 1)


def print_lines(times, files):
    for file in files:
        source = (TREE / file).read_text(encoding="utf-8").splitlines()
        for line in sorted(line for line, count in times[file].items() if count == 0):
            print(f"{file}:{line}: {source[line - 1]}")


def made_by_the_compiler(lines, line, function, source):
    """Whether what branches there is the end of a scope, which destroys, or the beginning of a coroutine, which allocates."""
    begins = is_coroutine(function) and all(other >= line for other in lines if any(name == function for name, _ in lines[other]))
    return begins or source.strip() in ("}", "};", "})")


def print_branches(branches, files):
    for file in files:
        source = (TREE / file).read_text(encoding="utf-8").splitlines()
        for line in sorted(branches[file]):
            for (function, _), ways in branches[file][line].items():
                if all(ways) or not any(ways) or made_by_the_compiler(branches[file], line, function, source[line - 1]):
                    continue
                taken = " ".join("-" if way == 0 else str(way) for way in ways)
                print(f"{file}:{line}: [{taken}] {source[line - 1].strip()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/coverage")
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("--lines", action="store_true")
    parser.add_argument("--branches", action="store_true")
    parser.add_argument("file", nargs="*")
    chosen = parser.parse_args()
    times, branches = collect(chosen.build)
    files = sorted(file for file in times if not chosen.file or any(part in file for part in chosen.file))
    if chosen.lines:
        print_lines(times, files)
    elif chosen.branches:
        print_branches(branches, files)
    else:
        percent = print_files(times, files)
        if percent < chosen.least:
            sys.exit(f"coverage.py: {percent:.1f} % is less than {chosen.least:g} %")


if __name__ == "__main__":
    main()
