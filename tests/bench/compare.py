#!/usr/bin/env python3
"""Compares revproxyd with Debian's nginx, HAProxy and h2o: CPU time per request for 1 KiB over kept connections, plain, TLS and HTTP/2.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/compare.py --binary build/release/revproxyd --rounds 15 --seconds 2

One interleaved run: in each round every contestant is measured in turn, and the order moves on by one from round to round. A contestant
has one worker or thread and a core of its own; load generator and origin share another. The figure is what the CPU clock of the
contestant's process, with its children, advanced while a known number of answers came, each of them checked. Between measurements
nothing is under way. The floor is a relay that parses nothing. docs/benchmarks.md says how to read the table, which is Markdown.

Needs nginx, haproxy, h2o, h2load, openssl, c++ and OpenSSL's headers, two cores, and a machine that has nothing else to do.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

from servers import FRONT, NGINX, certificate, compiled, cpu_seconds, family, free_ports, listens, pinned, stop, which

TO_HTTP1, TO_HTTP2 = "revproxyd to HTTP/1.1", "revproxyd to HTTP/2"


class Scenario:
    def __init__(self, title, contestants, peers):
        self.title = title
        self.contestants = contestants
        self.peers = peers  # the one with the lowest median is "the best"


SCENARIOS = {
    "plain": Scenario("1 KiB over HTTP", ["floor", "nginx", "haproxy", "revproxyd"], ["nginx", "haproxy"]),
    "tls": Scenario("1 KiB over TLS", ["floor", "nginx", "haproxy", "revproxyd"], ["nginx", "haproxy"]),
    "h2": Scenario("1 KiB over HTTP/2 with TLS", ["nginx", "haproxy", "h2o", "revproxyd"], ["nginx", "haproxy", "h2o"]),
    "upstream": Scenario("1 KiB over HTTP/2 with TLS, to a server of either version", [TO_HTTP1, TO_HTTP2], [TO_HTTP1]),
}

HAPROXY = """\
global
  nbthread 1
  maxconn 4096
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
frontend bench
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {both} alpn h2,http/1.1
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

H2O = """\
num-threads: 1
{user}
pid-file: {dir}/h2o.pid
error-log: {dir}/h2o.log
access-log: /dev/null
listen:
  host: 127.0.0.1
  port: {tls}
  ssl: {{ certificate-file: {cert}, key-file: {key}, minimum-version: TLSv1.2 }}
hosts:
  "bench.test":
    paths: {{ "/": {{ proxy.reverse.url: "http://127.0.0.1:{origin}", proxy.timeout.keepalive: 600000 }} }}
"""

REVPROXYD = FRONT + """\
timeouts: {{ keepalive: 600s }}
upstreams:
  origin: {{ servers: [ {{ url: "{origin_url}" }} ], keepalive: {{ max_idle: 256 }} }}
routes: [ {{ to: origin }} ]
access_log: off
log: {{ level: warn, path: {dir}/revproxyd.log }}
admin: {{ socket: {dir}/{tls}.sock }}
"""

# Serves both versions on one port, at a cost that is not measured.
ORIGIN = """\
workers: 1
listeners: [ {{ name: web, address: "127.0.0.1:{both_versions}" }} ]
limits: {{ requests_per_connection: 0 }}
timeouts: {{ keepalive: 600s }}
routes: [ {{ respond: {{ body: "{text}" }} }} ]
access_log: off
log: {{ level: warn, path: {dir}/origin.log }}
admin: {{ socket: {dir}/origin.sock }}
"""
BODY_SIZE = 1024


class Contestant:
    def __init__(self, name, commands, plain, tls):
        self.name = name
        self.plain = plain
        self.tls = tls
        self.commands = commands
        self.processes = []
        self.rates = {}  # answers a second, by scenario

    def start(self, cpu, log):
        self.processes = [pinned(command, cpu, stdout=log, stderr=log) for command in self.commands]
        self.wait_for(self.tls)

    def port(self, scenario):
        return self.plain if scenario == "plain" else self.tls

    def wait_for(self, port):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if any(process.poll() is not None for process in self.processes):
                break
            if listens(port):
                return
            time.sleep(0.05)
        raise SystemExit(f"compare: {self.name} does not listen on its port")

    def pids(self):
        return [pid for process in self.processes for pid in family(process.pid)]

    def stop(self):
        for process in self.processes:
            stop(process)


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.dir = directory
        self.cert, self.key = certificate(directory)
        self.both = os.path.join(directory, "both.pem")
        self.origin_port, self.both_versions_port = free_ports(2)
        self.log = open(os.path.join(directory, "output.log"), "wb")
        self.origins = []
        self.contestants = {}

    def write(self, name, template, user="", origin_url="", **ports):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(template.format(dir=self.dir, origin=self.origin_port, cert=self.cert, key=self.key, both=self.both,
                                       user=user if os.geteuid() == 0 else "", text="x" * BODY_SIZE,
                                       both_versions=self.both_versions_port,
                                       origin_url=origin_url or f"http://127.0.0.1:{self.origin_port}", **ports))
        return path

    def revproxyd(self, name, **options):
        return [self.options.binary, "-c", self.write(name, REVPROXYD, **options)]

    def commands(self, name, plain, tls):
        ports = {"plain": plain, "tls": tls}
        if name == "floor":
            relay = compiled("relay", self.dir)
            return [[relay, str(plain), str(self.origin_port)], [relay, str(tls), str(self.origin_port), self.cert, self.key]]
        if name == "nginx":
            return [[which("nginx"), "-p", self.dir, "-c", self.write("nginx.conf", NGINX, user="user root;", log="access_log off;", **ports)]]
        if name == "haproxy":
            return [[which("haproxy"), "-db", "-f", self.write("haproxy.cfg", HAPROXY, **ports)]]
        if name == "h2o":
            return [[which("h2o"), "-c", self.write("h2o.conf", H2O, user="user: root", **ports)]]
        scheme = {TO_HTTP1: "http", TO_HTTP2: "h2c"}.get(name)
        url = f"{scheme}://127.0.0.1:{self.both_versions_port}" if scheme else ""
        return [self.revproxyd(f"{tls}.yaml", origin_url=url, **ports)]

    def prepare(self):
        with open(self.both, "w", encoding="ascii") as both:
            for part in (self.cert, self.key):
                with open(part, encoding="ascii") as file:
                    both.write(file.read())
        self.load = compiled("load", self.dir)
        cpu = self.options.load_cpu
        self.origins.append(pinned([compiled("origin", self.dir), str(self.origin_port)], cpu, stdout=self.log, stderr=self.log))
        self.origins.append(pinned([self.options.binary, "-c", self.write("origin.yaml", ORIGIN)], cpu, stdout=self.log, stderr=self.log))
        for name in dict.fromkeys(name for scenario in self.options.scenarios for name in SCENARIOS[scenario].contestants):
            plain, tls = free_ports(2)
            self.contestants[name] = Contestant(name, self.commands(name, plain, tls), plain, tls)
        for contestant in self.contestants.values():
            contestant.start(self.options.proxy_cpu, self.log)

    def measure(self, contestant, scenario):
        """CPU microseconds per request, and requests per second."""
        if scenario in ("plain", "tls"):
            return self.measure_http1(contestant, scenario)
        if scenario not in contestant.rates:
            contestant.rates[scenario] = self.run_h2load(contestant, scenario, 20000)[1]
        self.run_h2load(contestant, scenario, max(1000, int(contestant.rates[scenario] * self.options.warmup)))
        result = self.run_h2load(contestant, scenario, max(1000, int(contestant.rates[scenario] * self.options.seconds)))
        contestant.rates[scenario] = result[1]
        return result

    def run_h2load(self, contestant, scenario, requests):
        options = self.options
        pids = contestant.pids()
        before, begun = cpu_seconds(*pids), time.monotonic()
        load = pinned([which("h2load"), "-c", str(options.h2_connections), "-m", str(options.h2_streams), "-n", str(requests), 
                      f"--connect-to=127.0.0.1:{contestant.port(scenario)}", "https://bench.test/1k"], options.load_cpu,
                     stdout=subprocess.PIPE, stderr=self.log, text=True)
        try:
            output, _ = load.communicate(timeout=60 + 20 * options.seconds)
        finally:
            stop(load)
        spent, took = cpu_seconds(*pids) - before, time.monotonic() - begun
        succeeded = re.search(r"^status codes: (\d+) 2xx", output, re.M)
        bytes_of_bodies = re.search(r"\((\d+)\) data$", output, re.M)
        if not succeeded or int(succeeded[1]) != requests or int(bytes_of_bodies[1]) != requests * BODY_SIZE:
            raise SystemExit(f"compare: {contestant.name}, {SCENARIOS[scenario].title}: a request failed\n{output}")
        return spent * 1e6 / requests, requests / took

    def measure_http1(self, contestant, scenario):
        options = self.options
        load = pinned([self.load, str(contestant.port(scenario)), str(options.connections), str(options.warmup),
                      str(options.seconds), scenario], options.load_cpu, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if load.stdout.readline() != "ready\n":
                raise SystemExit(f"compare: {contestant.name}, {SCENARIOS[scenario].title}: the warm-up failed")
            pids = contestant.pids()
            before = cpu_seconds(*pids)
            load.stdin.write("go\n")
            load.stdin.flush()
            words = load.stdout.readline().split()
            spent = cpu_seconds(*pids) - before
            if len(words) != 2 or load.wait(20) != 0:
                raise SystemExit(f"compare: {contestant.name}, {SCENARIOS[scenario].title}: a request failed")
            answers, seconds = int(words[0]), float(words[1])
            return spent * 1e6 / answers, answers / seconds
        finally:
            stop(load)

    def run(self):
        results = {scenario: [] for scenario in self.options.scenarios}
        for turn in range(self.options.rounds):
            for scenario, rounds in results.items():
                names = SCENARIOS[scenario].contestants
                first = turn % len(names)
                order = names[first:] + names[:first]
                figures = {name: self.measure(self.contestants[name], scenario) for name in order}
                rounds.append({name: figures[name] for name in names})
            print(f"round {turn + 1} of {self.options.rounds}", file=sys.stderr)
        return results

    def close(self):
        for contestant in self.contestants.values():
            contestant.stop()
        for origin in self.origins:
            stop(origin)
        self.log.close()


def spread(values, form):
    """Median and quartiles."""
    if len(values) < 2:
        return form.format(values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{form.format(middle)} ({form.format(low)}-{form.format(high)})"


def table(results):
    for scenario, rounds in results.items():
        about = SCENARIOS[scenario]
        has_floor = "floor" in about.contestants
        best = min(about.peers, key=lambda peer: statistics.median(one[peer][0] for one in rounds))
        print(f"\n{about.title}, {len(rounds)} rounds: median (first to third quartile)\n")
        print("| | us/request | to the best |" + (" to the floor |" if has_floor else "") + " requests/s |")
        print("|---|---|---|" + ("---|" if has_floor else "") + "---|")
        for name in about.contestants:
            cells = [name, spread([one[name][0] for one in rounds], "{:.1f}"),
                     spread([one[name][0] / one[best][0] for one in rounds], "{:.2f}")]
            if has_floor:
                cells.append(spread([one[name][0] / one["floor"][0] for one in rounds], "{:.2f}"))
            cells.append(f"{statistics.median(one[name][1] for one in rounds):.0f}")
            print("| " + " | ".join(cells) + " |")


def first_line(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split("\n", 1)[0].strip()


def machine(options):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    print(f"\n{os.cpu_count()} x {models[0] if models else platform.machine()}, Linux {platform.release()}; "
          f"{first_line([options.binary, '-V'])}, {first_line([which('nginx'), '-v'])}, {first_line([which('haproxy'), '-v'])}, "
          f"{first_line([which('h2o'), '-v'])}, {first_line(['openssl', 'version'])}; {options.connections} connections, over HTTP/2 "
          f"{options.h2_connections} with {options.h2_streams} streams each, {options.rounds} rounds of {options.seconds:g} s.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/revproxyd", help="the revproxyd to measure")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--warmup", type=float, default=0.3, help="seconds before each")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--h2-connections", type=int, default=16)
    parser.add_argument("--h2-streams", type=int, default=32, help="requests at once on each")
    parser.add_argument("--proxy-cpu", type=int, default=1)
    parser.add_argument("--load-cpu", type=int, default=0, help="of the load generator and the origin")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    if options.rounds < 1 or options.connections < 1 or options.seconds <= 0:
        parser.error("rounds, connections and seconds are above 0")
    if not os.access(options.binary, os.X_OK):
        parser.error(f"there is no {options.binary}: build it, or name another with --binary")
    with tempfile.TemporaryDirectory(prefix="revproxyd-bench.") as directory:
        bench = Bench(options, directory)
        try:
            bench.prepare()
            results = bench.run()
        finally:
            bench.close()
    table(results)
    machine(options)


if __name__ == "__main__":
    main()
