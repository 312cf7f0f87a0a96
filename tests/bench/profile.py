#!/usr/bin/env python3
"""Writes packaging/profile.proftext anew: what the optimizer of a release is told about the code that runs most.

  tests/bench/profile.py            counts, and writes the file (some minutes, for the most part a build)
  tests/bench/profile.py --check    says how much of the file still fits the code; fails when that is less than nine tenths

Builds the preset `profile`, whose binary counts, and has it serve what docs/benchmarks.md measures: kept and new connections, plain
and over TLS, HTTP/2 to servers of either version, large contents both ways, with and without an access log. What is kept of the
counts are the functions that together make up nearly all of them. A change of a function makes its counts void, no more.

Needs clang 19 with lld, llvm and its runtime (libclang-rt-19-dev), curl, h2load, openssl, and OpenSSL's headers. Where the cores are busy
it takes longer; the profile is of the same worth.
"""
import argparse
import http.server
import os
import subprocess
import sys
import tempfile
import threading

from servers import FRONT, HERE, ORIGIN, certificate, compiled, free_ports, start, stop, write

ROOT = os.path.dirname(os.path.dirname(HERE))
PROFILE = os.path.join(ROOT, "packaging", "profile.proftext")
KEPT = 0.9999
FITS = 0.9
LARGE = 10 << 20

CONFIG = FRONT + """\
upstreams:
  small: {{ servers: [ {{ url: "http://127.0.0.1:{small}" }} ], keepalive: {{ max_idle: 512 }} }}
  streams: {{ servers: [ {{ url: "h2c://127.0.0.1:{streams}" }} ] }}
  large: {{ servers: [ {{ url: "http://127.0.0.1:{large}" }} ] }}
routes:
  - {{ path: /large, to: large }}
  - {{ path: "/streams/**", to: streams }}
  - {{ to: small }}
access_log: {access_log}
log: {{ level: warn, path: {dir}/proxy.log }}
admin: {{ socket: {dir}/proxy.sock }}
"""


class LargeContents(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content = bytes(LARGE)

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(LARGE))
        self.end_headers()
        self.wfile.write(self.content)

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, 1 << 18)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def run(*command):
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"profile: {' '.join(command)}: {done.stdout[-2000:]}")
    return done.stdout


def build():
    run("cmake", "--preset", "profile")
    run("cmake", "--build", "--preset", "profile")
    return os.path.join(ROOT, "build", "profile", "revproxyd")


class Training:
    def __init__(self, binary, directory, seconds):
        self.binary = binary
        self.dir = directory
        self.seconds = seconds
        self.plain, self.tls, self.small, self.streams = free_ports(4)
        self.cert, self.key = certificate(directory)
        self.load, self.origin = (compiled(name, directory) for name in ("load", "origin"))
        with open(f"{directory}/large", "wb") as file:
            file.write(LargeContents.content)

    def run(self, access_log):
        large = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LargeContents)
        threading.Thread(target=large.serve_forever, daemon=True).start()
        streams = write(self.dir, "origin.yaml", ORIGIN.format(origin=self.streams, text="x" * 1024, dir=self.dir))
        proxy = write(self.dir, "proxy.yaml", CONFIG.format(dir=self.dir, cert=self.cert, key=self.key, plain=self.plain,
                                                            tls=self.tls, small=self.small, streams=self.streams, large=large.server_port, access_log=access_log))
        started = []
        try:
            started.append(start([self.origin, str(self.small)], self.small))
            started.append(start([self.binary, "-c", streams], self.streams))
            started.append(start([self.binary, "-c", proxy], self.tls))
            self.kept_connections()
            self.new_connections()
            self.large_contents()
        finally:
            for process in reversed(started):
                stop(process, 30)
            large.shutdown()

    def kept_connections(self):
        for port, kind in ((self.plain, "plain"), (self.tls, "tls")):
            load = subprocess.Popen([self.load, str(port), "64", "0.1", str(self.seconds), kind], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL)
            load.communicate(b"go\n", timeout=60)
            if load.returncode != 0:
                raise SystemExit(f"profile: a request over {kind} failed")
        for path in ("/1k", "/streams/1k"):
            self.h2load("https", self.tls, path, "-c", "16", "-m", "32", "-n", str(int(30000 * self.seconds)))

    def new_connections(self):
        for scheme, port, times in (("http", self.plain, 100), ("https", self.tls, 10)):
            for _ in range(int(times * self.seconds)):
                self.h2load(scheme, port, "/1k", "--h1", "-c", "64", "-n", "64")
        run("openssl", "s_time", "-connect", f"127.0.0.1:{self.tls}", "-reuse", "-time", str(max(1, int(self.seconds))), "-tls1_2")

    def large_contents(self):
        for scheme, port, version in (("http", self.plain, "--http1.1"), ("https", self.tls, "--http1.1"), ("https", self.tls, "--http2")):
            url = f"{scheme}://bench.test:{port}/large"
            common = ("curl", "-sSfk", "--noproxy", "*", version, "--resolve", f"bench.test:{port}:127.0.0.1")
            run(*common, *[url, "-o", "/dev/null"] * int(10 * self.seconds))
            for _ in range(int(5 * self.seconds)):
                run(*common, "-H", "Expect:", "-T", f"{self.dir}/large", url)

    def h2load(self, scheme, port, path, *options):
        output = run("h2load", *options, f"--connect-to=127.0.0.1:{port}", f"{scheme}://bench.test{path}")
        if " 0 failed, 0 errored, 0 timeout" not in output:
            raise SystemExit(f"profile: h2load to {path}: {output[-2000:]}")


class Record:
    """The counts of one function, as the text of llvm-profdata has them: name, hash of its control flow, counters."""

    def __init__(self, lines):
        self.lines = [line for line in lines if not line.startswith("#")]
        self.key = (self.lines[0], self.lines[1])
        self.count = sum(int(line) for line in self.lines[3:3 + int(self.lines[2])])


def records(text):
    blocks = text[text.index(":ir\n") + 4:].split("\n\n")
    return [Record(block.strip("\n").split("\n")) for block in blocks if block.strip()]


def counted(directory):
    """What all processes counted together."""
    counts = f"{directory}/counts"
    files = [os.path.join(counts, name) for name in os.listdir(counts)]
    run("llvm-profdata-19", "merge", "-text", "-o", f"{directory}/all.proftext", *files)
    with open(f"{directory}/all.proftext", encoding="utf-8") as file:
        return records(file.read())


def kept(found):
    total, taken, most = sum(one.count for one in found), 0, []
    for one in sorted(found, key=lambda one: -one.count):
        if taken >= KEPT * total:
            break
        taken += one.count
        most.append(one)
    return sorted(most, key=lambda one: one.key)


def save(found):
    with open(PROFILE, "w", encoding="utf-8") as file:
        file.write("# Written by tests/bench/profile.py: name, hash, counters and targets of indirect calls of the functions that run most.\n:ir\n")
        for one in found:
            file.write("\n".join(one.lines) + "\n\n")
    print(f"{len(found)} functions, {os.path.getsize(PROFILE) >> 10} KiB")


def check(binary, directory):
    """A binary that counts knows all functions as they are, whatever it has run."""
    run(binary, "-V")
    now = {one.key for one in counted(directory)}
    with open(PROFILE, encoding="utf-8") as file:
        there = records(file.read())
    gone = [one for one in there if one.key not in now]
    share = 1 - sum(one.count for one in gone) / sum(one.count for one in there)
    for one in sorted(gone, key=lambda one: -one.count)[:20]:
        print(f"changed: {one.key[0]}")
    print(f"{share:.1%} of the counts, {len(there) - len(gone)} of {len(there)} functions fit the code")
    return 0 if share >= FITS else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare the file with the code")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each kind of load, about")
    options = parser.parse_args()
    binary = build()
    with tempfile.TemporaryDirectory(prefix="revproxyd-profile.") as directory:
        os.mkdir(f"{directory}/counts")
        os.environ["LLVM_PROFILE_FILE"] = f"{directory}/counts/%p.profraw"  # where a binary that counts writes at its end
        if options.check:
            return check(binary, directory)
        training = Training(binary, directory, options.seconds)
        for access_log in ("off", f"{{ path: {directory}/access.log }}"):
            training.run(access_log)
        save(kept(counted(directory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
