#!/usr/bin/env python3
"""Compares revproxyd with Debian's nginx and HAProxy: CPU time per request for 1 KiB over kept connections, plain and TLS.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/compare.py --binary build/release/revproxyd --rounds 15 --seconds 2

One interleaved run: in each round every contestant is measured in turn, and the order moves on by one from round to round. A contestant
has one worker or thread and a core of its own; load generator and origin share another. The figure is what the CPU clock of the
contestant's process, with its children, advanced while a known number of answers came, each of them checked. Between measurements
nothing is under way. The floor is a relay that parses nothing. docs/benchmarks.md says how to read the table, which is Markdown.

Needs nginx, haproxy, openssl, c++ and OpenSSL's headers, two cores, and a machine that has nothing else to do.
"""

import argparse
import glob
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = {"plain": "1 KiB over HTTP", "tls": "1 KiB over TLS"}
PEERS = ["nginx", "haproxy"]

NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    server_name bench.test;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
  }}
}}
"""

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
  bind 127.0.0.1:{tls} ssl crt {both}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

REVPROXYD = """\
workers: 1
listeners:
  - {{ name: plain, address: "127.0.0.1:{plain}" }}
  - {{ name: tls, address: "127.0.0.1:{tls}", tls: {{}} }}
certificates: [ {{ hosts: [bench.test], cert: {cert}, key: {key} }} ]
timeouts: {{ keepalive: 600s }}
limits: {{ requests_per_connection: 0 }}
upstreams:
  origin: {{ servers: [ {{ url: "http://127.0.0.1:{origin}" }} ], keepalive: {{ max_idle: 256 }} }}
routes: [ {{ to: origin }} ]
access_log: off
log: {{ level: warn, path: {dir}/revproxyd.log }}
admin: {{ socket: {dir}/revproxyd.sock }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(command, cpu, **options):
    return subprocess.Popen(command, stdin=options.pop("stdin", subprocess.DEVNULL), start_new_session=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}), **options)


def stop(process):
    """SIGTERM to the process that we started; what it forked goes with it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid):
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path, encoding="ascii") as file:
                for child in file.read().split():
                    found += family(int(child))
        except OSError:
            pass
    return found


def cpu_seconds(pids):
    # The clock of a whole process, user and system time of all its threads, as clock_getcpuclockid(3) encodes it.
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1e9


class Contestant:
    def __init__(self, name, commands, ports):
        self.name = name
        self.ports = ports
        self.commands = commands
        self.processes = []

    def start(self, cpu, log):
        self.processes = [start(command, cpu, stdout=log, stderr=log) for command in self.commands]
        for port in self.ports.values():
            self.wait_for(port)

    def wait_for(self, port):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if any(process.poll() is not None for process in self.processes):
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
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
        self.cert, self.key, self.both = (os.path.join(directory, name) for name in ("cert.pem", "key.pem", "both.pem"))
        self.origin_port = free_port()
        self.log = open(os.path.join(directory, "output.log"), "wb")
        self.origin = None
        self.contestants = []

    def compile(self, name):
        out = os.path.join(self.dir, name)
        subprocess.run(["c++", "-std=c++20", "-O2", "-o", out, os.path.join(HERE, name + ".cpp"), "-lssl", "-lcrypto"], check=True)
        return out

    def write(self, name, template, ports):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(template.format(dir=self.dir, origin=self.origin_port, cert=self.cert, key=self.key, both=self.both,
                                       user="user root;" if os.geteuid() == 0 else "", **ports))
        return path

    def prepare(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                        self.key, "-out", self.cert, "-days", "30", "-subj", "/CN=bench.test", "-addext",
                        "subjectAltName=DNS:bench.test"], check=True, stderr=subprocess.DEVNULL)
        with open(self.both, "w", encoding="ascii") as both:
            for part in (self.cert, self.key):
                with open(part, encoding="ascii") as file:
                    both.write(file.read())
        relay, self.load = self.compile("relay"), self.compile("load")
        self.origin = start([self.compile("origin"), str(self.origin_port)], self.options.load_cpu, stdout=self.log, stderr=self.log)
        for name in ["floor", *PEERS, "revproxyd"]:
            ports = {"plain": free_port(), "tls": free_port()}
            commands = {
                "floor": lambda p: [[relay, str(p["plain"]), str(self.origin_port)],
                                    [relay, str(p["tls"]), str(self.origin_port), self.cert, self.key]],
                "nginx": lambda p: [[which("nginx"), "-p", self.dir, "-c", self.write("nginx.conf", NGINX, p)]],
                "haproxy": lambda p: [[which("haproxy"), "-db", "-f", self.write("haproxy.cfg", HAPROXY, p)]],
                "revproxyd": lambda p: [[self.options.binary, "-c", self.write("revproxyd.yaml", REVPROXYD, p)]],
            }[name](ports)
            self.contestants.append(Contestant(name, commands, ports))
        for contestant in self.contestants:
            contestant.start(self.options.proxy_cpu, self.log)

    def measure(self, contestant, scenario):
        """CPU microseconds per request, and requests per second."""
        options = self.options
        load = start([self.load, str(contestant.ports[scenario]), str(options.connections), str(options.warmup), str(options.seconds),
                      scenario], options.load_cpu, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if load.stdout.readline() != "ready\n":
                raise SystemExit(f"compare: {contestant.name}, {SCENARIOS[scenario]}: the warm-up failed")
            pids = contestant.pids()
            before = cpu_seconds(pids)
            load.stdin.write("go\n")
            load.stdin.flush()
            words = load.stdout.readline().split()
            spent = cpu_seconds(pids) - before
            if len(words) != 2 or load.wait(20) != 0:
                raise SystemExit(f"compare: {contestant.name}, {SCENARIOS[scenario]}: a request failed")
            answers, seconds = int(words[0]), float(words[1])
            return spent * 1e6 / answers, answers / seconds
        finally:
            stop(load)

    def run(self):
        results = {scenario: [] for scenario in self.options.scenarios}
        for turn in range(self.options.rounds):
            first = turn % len(self.contestants)
            order = self.contestants[first:] + self.contestants[:first]
            for scenario, rounds in results.items():
                rounds.append({one.name: self.measure(one, scenario) for one in order})
            print(f"round {turn + 1} of {self.options.rounds}", file=sys.stderr)
        return results

    def close(self):
        for contestant in self.contestants:
            contestant.stop()
        if self.origin is not None:
            stop(self.origin)
        self.log.close()


def which(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SystemExit(f"compare: {name} is not installed")
    return path


def spread(values, form):
    """Median and quartiles."""
    if len(values) < 2:
        return form.format(values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{form.format(middle)} ({form.format(low)}-{form.format(high)})"


def table(results):
    for scenario, rounds in results.items():
        print(f"\n{SCENARIOS[scenario]}, {len(rounds)} rounds: median (first to third quartile)\n")
        print("| | us/request | to the best | to the floor | requests/s |\n|---|---|---|---|---|")
        for name in rounds[0]:
            cost = [one[name][0] for one in rounds]
            best = [one[name][0] / min(one[peer][0] for peer in PEERS) for one in rounds]
            floor = [one[name][0] / one["floor"][0] for one in rounds]
            rate = [one[name][1] for one in rounds]
            print(f"| {name} | {spread(cost, '{:.1f}')} | {spread(best, '{:.2f}')} | {spread(floor, '{:.2f}')} "
                  f"| {statistics.median(rate):.0f} |")


def first_line(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split("\n", 1)[0].strip()


def machine(options):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    print(f"\n{os.cpu_count()} x {models[0] if models else platform.machine()}, Linux {platform.release()}; "
          f"{first_line([options.binary, '-V'])}, {first_line([which('nginx'), '-v'])}, {first_line([which('haproxy'), '-v'])}, "
          f"{first_line(['openssl', 'version'])}; {options.connections} connections, {options.rounds} rounds of {options.seconds:g} s.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/revproxyd", help="the revproxyd to measure")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--warmup", type=float, default=0.3, help="seconds before each")
    parser.add_argument("--connections", type=int, default=64)
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
