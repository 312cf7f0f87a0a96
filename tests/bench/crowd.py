#!/usr/bin/env python3
"""What a crowd of slow clients costs the others: latency of well-behaved requests without and beside thousands of open connections.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/crowd.py --binary build/release/revproxyd --clients 20000

The kinds: `idle` on a kept connection after one request; `slow-readers` of a large answer, 300 bytes a second; `slow-writers` of heads
and bodies, a byte at a time; `handshakes` of TLS that stop within the ClientHello; `mixed`, a quarter of each. Time-outs and
`min_rate` of the configuration are so that they may stay, which the defaults would not let them; who is sent away comes again.

In each round each kind meets a daemon of its own, and is measured between two quiet spells of that daemon, whose mean it is compared
with. The crowd stands for other machines, and so do the clients and the origin: it gets the cores of this one only when nobody else
wants them, clients and the origin (as far as root can say so) come before the proxy. h2load sends a given number of requests a second
over kept connections and writes down the time of each.

A client is one descriptor of the proxy, two when its request is on its way to a server, and some downloads have a pipe; the number of
clients is cut to what the limit of the process allows. Needs h2load, and a machine that has nothing else to do. Prints a table in
Markdown; ends with 1 when a well-behaved request failed.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from servers import ORIGIN, come_first, cpu_seconds, free_ports, start, stop, wait_for, write

CONFIG = """\
listeners: [ {{ name: web, address: "127.0.0.1:{port}" }}, {{ name: tls, address: "127.0.0.1:{tls}", tls: internal }} ]
timeouts: {{ handshake: 1h, header: 1h, body: 1h, write: 1h, keepalive: 1h }}
limits: {{ connections: 0, requests_per_connection: 0, min_rate: 0 }}
upstreams:
  origin: {{ servers: [ {{ url: "http://127.0.0.1:{origin}" }} ] }}
  patient: {{ servers: [ {{ url: "http://127.0.0.1:{patient}" }} ], timeouts: {{ idle: 1h, first_byte: 1h }} }}
routes: [ {{ path: "/slow/**", to: patient }}, {{ to: origin }} ]
access_log: off
log: {{ level: error, path: {dir}/proxy.log }}
admin: {{ socket: {dir}/proxy.sock }}
"""

KINDS = ["idle", "slow-readers", "slow-writers", "handshakes"]
DESCRIPTORS = {"idle": 1.0, "slow-readers": 2.0, "slow-writers": 1.5, "handshakes": 1.0, "mixed": 1.375}  # of the proxy, for a client
SPARE = {"idle": 600, "slow-readers": 1700, "slow-writers": 600, "handshakes": 600, "mixed": 1700}  # pipes of downloads, and the rest
PROCESSES = 4
PACE = 4.0  # seconds between two acts of a client
SIP = 1200  # bytes that a slow reader takes of an act
LARGE = 1 << 20
SEGMENT = 1400  # as over Ethernet; the kernel gives the large segments of the loopback device buffers of megabytes

ASKS = b"GET / HTTP/1.1\r\nHost: crowd.test\r\n\r\n"
READS = b"GET /slow/ HTTP/1.1\r\nHost: crowd.test\r\n\r\n"
HEAD = b"GET / HTTP/1.1\r\nHost: crowd.test\r\nX-Slow: "
BODY = b"POST /slow/ HTTP/1.1\r\nHost: crowd.test\r\nContent-Length: 1000000\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)


def come_last(pid=0, last=True):
    os.sched_setscheduler(pid, os.SCHED_IDLE if last else os.SCHED_OTHER, os.sched_param(0))


class Member:
    """One of the crowd."""

    def __init__(self, kind, number, ports, source):
        self.kind = kind
        self.number = number
        self.port = ports[1] if kind == "handshakes" else ports[0]
        self.source = source
        self.socket = None

    def connect(self):
        if self.socket:
            self.socket.close()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: a port for each pair of addresses
        if self.kind == "slow-readers":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self.socket.bind((self.source, 0))
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", self.port))
        begin = {"idle": ASKS, "slow-readers": READS, "slow-writers": (HEAD, BODY)[self.number % 2], "handshakes": HELLO}
        self.socket.sendall(begin[self.kind])
        if self.kind == "idle":
            self.socket.recv(4096)
        self.socket.setblocking(False)

    def act(self):
        """False when it has been sent away."""
        try:
            if self.kind == "slow-readers":
                return self.socket.recv(SIP) != b""
            if self.kind == "slow-writers":
                return self.socket.send(b"x") == 1
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True


def crowd(kinds, clients, source, ports):
    """The part of the crowd that has one source address; runs in a process of its own."""
    members = [Member(kinds[i % len(kinds)], i // len(kinds), ports, source) for i in range(clients)]
    again = 0
    for member in members:
        member.connect()
    print("begun", flush=True)
    come_last()
    # Those who wait for nothing are watched, the others find out when they act.
    waiting = select.epoll()
    acting = [member for member in members if member.kind.startswith("slow-")]
    by_descriptor = {member.socket.fileno(): member for member in members if not member.kind.startswith("slow-")}
    for descriptor in by_descriptor:
        waiting.register(descriptor, select.EPOLLRDHUP)
    waiting.register(sys.stdin.fileno(), select.EPOLLIN)
    begun, done = time.monotonic(), 0
    while True:
        for descriptor, _ in waiting.poll(0.05):
            if descriptor == sys.stdin.fileno():
                return print(again, flush=True)
            member = by_descriptor.pop(descriptor)
            member.connect()
            again += 1
            by_descriptor[member.socket.fileno()] = member
            waiting.register(member.socket.fileno(), select.EPOLLRDHUP)
        due = int((time.monotonic() - begun) / PACE * len(acting))
        for i in range(done, max(done, due)):
            member = acting[i % len(acting)]
            if not member.act():
                member.connect()
                again += 1
        done = max(done, due)


async def serve_patiently(reader, writer):
    """Takes whatever comes, and sends a large answer to a GET as slowly as it is taken. Small buffers, for there are thousands."""
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    writer.transport.set_write_buffer_limits(high=0)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            for _ in range(LARGE // 8192):
                writer.write(bytes(8192))
                await writer.drain()
        while await reader.read(4096):
            pass
    except (OSError, asyncio.IncompleteReadError):
        pass
    writer.close()


async def serve(port):
    server = await asyncio.start_server(serve_patiently, "127.0.0.1", port, backlog=4096, limit=8192)
    await server.serve_forever()


class Crowd:
    """All processes of it."""

    def __init__(self, kinds, clients, ports):
        self.processes = []
        for i in range(PROCESSES):
            mine = clients // PROCESSES + (i < clients % PROCESSES)
            command = [sys.executable, os.path.abspath(__file__), "--crowd", ",".join(kinds), str(mine), f"127.0.0.{2 + i}",
                       *map(str, ports)]
            self.processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        if any(process.stdout.readline() != "begun\n" for process in self.processes):
            self.stop()
            raise SystemExit("crowd: not all of it could connect")

    def stop(self):
        """How many were sent away and came again."""
        again = 0
        for process in self.processes:
            try:
                come_last(process.pid, False)
                output, _ = process.communicate("stop\n", timeout=60)
                again += int(output or 0)
            except (OSError, subprocess.TimeoutExpired):
                process.kill()
                process.wait()
        return again


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.dir = directory
        self.binary = os.path.abspath(options.binary)
        self.words = dict(zip(("port", "tls", "origin", "patient"), free_ports(4)), dir=directory, text="x" * 1024)
        self.servers = []
        self.proxy = None

    def write(self, name, text):
        return write(self.dir, name, text.format(**self.words))

    def start_servers(self):
        self.servers.append(start([self.binary, "-c", self.write("origin.yaml", ORIGIN)], self.words["origin"]))
        patient = self.words["patient"]
        self.servers.append(start([sys.executable, os.path.abspath(__file__), "--serve", str(patient)], patient))
        for server in self.servers:
            come_first(server.pid)

    def close(self):
        for server in self.servers:
            stop(server)

    def clients(self, kind):
        """As many as the proxy has descriptors for."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return min(self.options.clients, int((limit - SPARE[kind]) / DESCRIPTORS[kind]))

    def active(self):
        done = subprocess.run([self.binary, "ctl", "stats", "--socket", os.path.join(self.dir, "proxy.sock")], capture_output=True,
                              text=True, timeout=60, check=True)
        return json.loads(done.stdout)["connections_active"]

    def memory_kib(self):
        with open(f"/proc/{self.proxy.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def latencies(self):
        """Median and 99th percentile of well-behaved requests in milliseconds, and CPU seconds of the proxy."""
        log = os.path.join(self.dir, "times")
        if os.path.exists(log):
            os.unlink(log)
        options = self.options
        command = ["h2load", "-c", "10", "-m", "10", f"--rps={options.rate / 10:g}", "-D", f"{options.seconds:g}", f"--log-file={log}",
                   *(["--h1"] if options.h1 else []), f"http://127.0.0.1:{self.words['port']}/"]
        before = cpu_seconds(self.proxy.pid)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=come_first, timeout=60 + options.seconds)
        spent = cpu_seconds(self.proxy.pid) - before
        with open(log, encoding="ascii") as file:
            lines = [line.split() for line in file]
        if len(lines) < options.rate * options.seconds / 2 or any(status != "200" for _, status, _ in lines):
            raise SystemExit("crowd: a well-behaved request failed")
        times = sorted(int(took) / 1000 for _, _, took in lines)
        return times[len(times) // 2], times[int(len(times) * 0.99)], spent

    def settle(self):
        """Waits until downloads that have just begun have filled all buffers on their way, the kernel's too: the work for them ends."""
        took = float("inf")

        def steady():
            nonlocal took
            earlier, before = took, cpu_seconds(self.proxy.pid)
            time.sleep(2)
            took = cpu_seconds(self.proxy.pid) - before
            return took > earlier * 0.9
        wait_for("the crowd to settle", steady, 60)

    def measure(self, kind):
        clients = self.clients(kind)
        self.proxy = start([self.binary, "-c", self.write("proxy.yaml", CONFIG)], self.words["port"])
        try:
            before = self.latencies()
            memory = self.memory_kib()
            beside = Crowd(KINDS if kind == "mixed" else [kind], clients, (self.words["port"], self.words["tls"]))
            try:
                wait_for("accepting", lambda: self.active() >= clients, 60)
                time.sleep(PACE)  # each has acted once
                self.settle()
                during = self.latencies()
                memory = (self.memory_kib() - memory) / clients
                stayed = self.active()
            finally:
                again = beside.stop()
            wait_for("the end of the crowd", lambda: self.active() == 0, 60)
            time.sleep(2)  # the patient server has thousands of ends to see
            after = self.latencies()
        finally:
            stop(self.proxy)
        print(f"{kind}: 99 % {before[1]:.2f} ms, beside {during[1]:.2f} ms, after {after[1]:.2f} ms", file=sys.stderr)
        if stayed < clients * 0.99:
            print(f"crowd: of {clients} {kind} {stayed} were there at the end", file=sys.stderr)
        quiet = [(one + other) / 2 for one, other in zip(before, after)]
        return {"quiet": quiet, "during": during, "memory": memory, "again": again, "clients": clients}

    def run(self):
        rows = {kind: [] for kind in self.options.kinds}
        for turn in range(self.options.rounds):
            for kind, rounds in rows.items():
                rounds.append(self.measure(kind))
            print(f"round {turn + 1} of {self.options.rounds}", file=sys.stderr)
        return rows


def table(rows):
    print("| crowd | clients | median, quiet | beside | ratio | 99 %, quiet | beside | ratio | CPU, ratio | memory a client | came again |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for kind, rounds in rows.items():
        def middle(of):
            return statistics.median(of(one) for one in rounds)

        def ratio(i):
            return middle(lambda r: r["during"][i] / r["quiet"][i])
        print(f"| {kind} | {rounds[0]['clients']} | {middle(lambda r: r['quiet'][0]):.2f} ms | {middle(lambda r: r['during'][0]):.2f} ms "
              f"| {ratio(0):.2f} | {middle(lambda r: r['quiet'][1]):.2f} ms | {middle(lambda r: r['during'][1]):.2f} ms | {ratio(1):.2f} "
              f"| {ratio(2):.2f} | {middle(lambda r: r['memory']):.1f} KiB | {middle(lambda r: r['again']):.0f} |")


def main():
    if len(sys.argv) == 7 and sys.argv[1] == "--crowd":
        return crowd(sys.argv[2].split(","), int(sys.argv[3]), sys.argv[4], (int(sys.argv[5]), int(sys.argv[6])))
    if len(sys.argv) == 3 and sys.argv[1] == "--serve":
        return asyncio.run(serve(int(sys.argv[2])))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/revproxyd", help="the revproxyd to measure")
    parser.add_argument("--clients", type=int, default=20000, help="of the crowd")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=[*KINDS, "mixed"], help="of the crowd, with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement")
    parser.add_argument("--rate", type=float, default=1000, help="well-behaved requests a second")
    parser.add_argument("--h1", action="store_true", help="well-behaved clients speak HTTP/1.1 in place of HTTP/2")
    options = parser.parse_args()
    if not set(options.kinds) <= set(DESCRIPTORS):
        parser.error(f"kinds are {', '.join(DESCRIPTORS)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="revproxyd-crowd.") as directory:
        bench = Bench(options, directory)
        try:
            bench.start_servers()
            rows = bench.run()
        finally:
            bench.close()
    table(rows)
    return None


if __name__ == "__main__":
    sys.exit(main())
