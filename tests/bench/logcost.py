#!/usr/bin/env python3
"""What a line of the access log costs: CPU time per request with the log on and off, at one rate that all reach with ease. nginx logs the
same members in one run, as a measure.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/logcost.py --binary build/release/revproxyd --rounds 9

At a fixed rate, because a load generator that goes as fast as it can has its core to itself only as long as the proxy is no slower: with
the log on it begins to sleep between answers, and the waking of it, which the kernel counts as the proxy's, is not the log's cost. Before
each measurement a log is filled as far as it may get and emptied: the first touch of memory that a virtual machine has, or has given back,
is paid by whoever touches it, three to five times what the writing of a line costs (`--cold` leaves it out).

Needs h2load, nginx, openssl, c++, two cores, and a machine that has nothing else to do."""

import argparse
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from servers import FRONT, NGINX, certificate, come_first, compiled, cpu_seconds, family, free_ports, pinned, start, stop, which, write

# Options of h2load and requests a second, of all connections together.
SCENARIOS = {
    "plain": ("1 KiB over HTTP", ["--h1", "-c", "64"], 64, 50000),
    "tls": ("1 KiB over TLS", ["--h1", "-c", "64"], 64, 40000),
    "h2": ("1 KiB over HTTP/2 with TLS", ["-c", "16", "-m", "32"], 16, 40000),
}

REVPROXYD = FRONT + """\
upstreams:
  origin: {{ servers: [ {{ url: "http://127.0.0.1:{origin}" }} ] }}
routes: [ {{ name: all, to: origin }} ]
access_log: {log}
log: {{ level: warn, path: {dir}/revproxyd.log }}
admin: {{ socket: {dir}/{tls}.sock }}
"""

NGINX_LOG = """\
log_format all escape=json '{{"ts":"$time_iso8601","id":"$request_id","client":"$remote_addr","listener":"$server_port","proto":"$server_protocol",'
    '"tls":"$ssl_protocol","sni":"$ssl_server_name","method":"$request_method","scheme":"$scheme","host":"$http_host","path":"$uri","status":$status,'
    '"bytes_out":$body_bytes_sent,"user_agent":"$http_user_agent","upstream":"$proxy_host","server":"$upstream_addr",'
    '"t_ttfb":$upstream_header_time,"t_total":$request_time}}';
  access_log {dir}/{tls}.log all buffer=128k flush=200ms;"""
SETTLES, SPELL = 0.2, 0.5  # seconds
# A line has fewer bytes.
LINE = 512
NAMES = ["revproxyd", "revproxyd with log", "nginx", "nginx with log"]


class Proxy:
    def __init__(self, options, directory, origin, name):
        cert, key = (os.path.join(directory, file) for file in ("cert.pem", "key.pem"))
        plain, tls = free_ports(2)
        self.ports = {"plain": plain, "tls": tls, "h2": tls}
        words = {"dir": directory, "origin": origin, "cert": cert, "key": key, "plain": plain, "tls": tls,
                 "user": "user root;" if os.geteuid() == 0 else ""}
        logs = name.endswith("with log")
        self.log = os.path.join(directory, f"{tls}.log") if logs else None
        if name.startswith("nginx"):
            words["log"] = NGINX_LOG.format(**words) if logs else "access_log off;"
            path = write(directory, f"{tls}.conf", NGINX.format(**words))
            command = [which("nginx"), "-p", directory, "-c", path]
        else:
            words["log"] = f"{{ path: {directory}/{tls}.log }}" if logs else "off"
            self.text = REVPROXYD.format(**words)
            self.conf = write(directory, f"{tls}.yaml", self.text)
            command = [options.binary, "-c", self.conf]
        self.process = start(["taskset", "-c", str(options.proxy_cpu)] + command, tls)

    def cpu(self):
        return cpu_seconds(*family(self.process.pid))


def empty(log, size, cold):
    """The log is open for appending, so its next line is its first. What is let go of is what the kernel gives out next."""
    if not cold:
        with open(log, "wb") as file:
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))
    os.truncate(log, 0)


def begin_load(proxy, scenario, options, requests, **how):
    _, arguments, connections, full = SCENARIOS[scenario]
    url = f"{'http' if scenario == 'plain' else 'https'}://bench.test/1k"
    return pinned([which("h2load"), *arguments, "-n", str(requests), f"--rps={full * options.load / connections}",
                   f"--connect-to=127.0.0.1:{proxy.ports[scenario]}", url], options.load_cpu, **how)


def measure(proxy, scenario, options, seconds):
    """CPU microseconds a request."""
    rate = SCENARIOS[scenario][3] * options.load
    requests = int(rate * seconds)
    if proxy.log is not None:
        empty(proxy.log, requests * LINE, options.cold)
    before = proxy.cpu()
    load = begin_load(proxy, scenario, options, requests, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = load.communicate(timeout=60 + 20 * seconds)
    finally:
        stop(load)
    if f" {requests} succeeded" not in output:
        raise SystemExit(f"logcost: a request failed\n{output}")
    number, unit = re.search(r"finished in ([0-9.]+)(m?s)", output).groups()
    took = float(number) / (1000 if unit == "ms" else 1)
    if took > 1.2 * seconds + 0.2:
        raise SystemExit(f"logcost: {rate:.0f} requests a second are too many for this machine: --load")
    return (proxy.cpu() - before) * 1e6 / requests


def switched(scenario, options, begin):
    """One process whose log is switched off and on by reloads, half a second each, under a load that goes on: the pairs (off, on) of
    microseconds a request. Neither where memory lies nor how the machine is then differs within a pair."""
    rate = SCENARIOS[scenario][3] * options.load
    proxy = begin("revproxyd with log")
    texts = {True: proxy.text, False: proxy.text.replace("access_log: {", "access_log: off # {")}

    def ctl(verb):
        return subprocess.run([options.binary, "ctl", verb, "-c", proxy.conf], check=True, stdout=subprocess.PIPE, text=True).stdout

    def reading():
        cpu = proxy.cpu()
        return cpu, json.loads(ctl("stats"))["requests"]

    def spell(logs):
        if logs:
            empty(proxy.log, int(rate) * LINE, options.cold)
        write(os.path.dirname(proxy.conf), os.path.basename(proxy.conf), texts[logs])
        ctl("reload")
        time.sleep(SETTLES)
        before = reading()
        time.sleep(SPELL)
        after = reading()
        return (after[0] - before[0]) * 1e6 / (after[1] - before[1])

    load = begin_load(proxy, scenario, options, int(rate * 3600), stdout=subprocess.DEVNULL)
    try:
        time.sleep(1)
        return [tuple(reversed([spell(True), spell(False)])) if turn % 2 else (spell(False), spell(True)) for turn in range(options.pairs)]
    finally:
        stop(load)
        stop(proxy.process)


def one_round(turn, results, options, begin):
    """With processes of its own, since where the system puts their memory is worth some per cent."""
    proxies = {}
    try:
        for name in NAMES:
            proxies[name] = begin(name)
        for scenario, rounds in results.items():
            first = turn % len(NAMES)
            order = NAMES[first:] + NAMES[:first]
            for name in order:
                measure(proxies[name], scenario, options, options.seconds / 4)
            rounds.append({name: measure(proxies[name], scenario, options, options.seconds) for name in order})
    finally:
        for proxy in proxies.values():
            stop(proxy.process)


def main():
    parser = argparse.ArgumentParser(description="CPU time that a line of the access log costs, beside nginx")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--pairs", type=int, default=0, help="instead: so many pairs of spells of one process, its log off and on")
    parser.add_argument("--load", type=float, default=1, help="factor of the rates; a slow machine needs less than 1")
    parser.add_argument("--cold", action="store_true", help="logs grow into memory that nobody may have touched")
    parser.add_argument("--proxy-cpu", type=int, default=1)
    parser.add_argument("--load-cpu", type=int, default=0)
    options = parser.parse_args()
    come_first()
    results = {scenario: [] for scenario in SCENARIOS}
    with tempfile.TemporaryDirectory(prefix="revproxyd-log-") as directory:
        certificate(directory)
        (origin_port,) = free_ports(1)
        origin = start(["taskset", "-c", str(options.load_cpu), compiled("origin", directory), str(origin_port)], origin_port)
        try:
            begin = functools.partial(Proxy, options, directory, origin_port)
            if options.pairs:
                print("| | requests a second | off, µs | its log | middle half |\n|---|---|---|---|---|")
                for scenario, (title, _, _, full) in SCENARIOS.items():
                    pairs = switched(scenario, options, begin)
                    lower, middle, upper = statistics.quantiles((100 * (on / off - 1) for off, on in pairs), n=4)
                    off = statistics.median(off for off, _ in pairs)
                    print(f"| {title} | {full * options.load:.0f} | {off:.2f} | {middle:+.1f} % | {lower:+.1f} to {upper:+.1f} % |")
                return
            for turn in range(options.rounds):
                one_round(turn, results, options, begin)
                print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
        finally:
            stop(origin)
    print("| | requests a second | revproxyd, µs | its log | nginx, µs | its log |\n|---|---|---|---|---|---|")
    for scenario, rounds in results.items():
        title, _, _, full = SCENARIOS[scenario]
        rate = full * options.load
        cells = []
        for name in ("revproxyd", "nginx"):
            ratio = statistics.median(one[name + " with log"] / one[name] for one in rounds)
            cells += [f"{statistics.median(one[name] for one in rounds):.2f}", f"{100 * (ratio - 1):+.1f} %"]
        print(f"| {title} | {rate:.0f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
