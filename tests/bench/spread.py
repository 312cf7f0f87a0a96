#!/usr/bin/env python3
"""How connections that stay for long are divided over the workers, and what the difference means for those who use them.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/spread.py --binary build/release/revproxyd --workers 2 --connections 8 --rounds 20

In each round a daemon of its own gets that many connections, one after the other, each of which asks once and stays; `ctl status`
says which worker has how many. "equal" connections come to idle workers. For "unequal" ones a client of HTTP/2 has 32 requests under
way on one connection before they come: the worker that has it should get none of them until the others have as much to do.

Prints a table in Markdown: the share of the busiest worker (for "unequal": of the new connections, at the worker that was busy
already), over the rounds. 1/workers, and 0, are best.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from servers import free_ports, start, stop, wait_for, write

CONFIG = """\
workers: {workers}
listeners: [ {{ name: web, address: "127.0.0.1:{port}" }} ]
routes: [ {{ path: "/slow", to: "http://127.0.0.1:{slow}" }}, {{ respond: {{ body: "here" }} }} ]
access_log: off
log: {{ level: error, path: {dir}/proxy.log }}
admin: {{ socket: {dir}/proxy.sock }}
"""

ASKS = b"GET / HTTP/1.1\r\nHost: spread.test\r\n\r\n"
STREAMS = 32


class Silent:
    """A server that takes requests and never answers."""

    def __init__(self, port):
        self.server = socket.create_server(("127.0.0.1", port), backlog=128)
        self.taken = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                self.taken.append(self.server.accept()[0])
            except OSError:
                return

    def close(self):
        self.server.close()
        for one in self.taken:
            one.close()


class Daemon:
    def __init__(self, binary, workers):
        self.binary = binary
        self.directory = tempfile.TemporaryDirectory()
        self.port, slow = free_ports(2)
        self.silent = Silent(slow)
        config = write(self.directory.name, "proxy.yaml",
                       CONFIG.format(workers=workers, port=self.port, slow=slow, dir=self.directory.name))
        self.process = start([binary, "-c", config], self.port)
        wait_for("the end of the first connection", lambda: sum(self.loads()[0]) == 0)

    def loads(self):
        """Connections and requests under way, by worker."""
        status = subprocess.run([self.binary, "ctl", "--socket", f"{self.directory.name}/proxy.sock", "status"],
                                check=True, capture_output=True, text=True).stdout
        found = re.findall(r"worker-\d+: (\d+) connections, (\d+) requests", status)
        return [int(one) for one, _ in found], [int(other) for _, other in found]

    def stay(self, count):
        sockets = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", self.port))
            one.sendall(ASKS)
            while b"here" not in one.recv(4096):
                pass
            sockets.append(one)
        return sockets

    def close(self):
        self.silent.close()
        stop(self.process)
        self.directory.cleanup()


def equal(binary, arguments):
    daemon = Daemon(binary, arguments.workers)
    sockets = daemon.stay(arguments.connections)
    share = max(daemon.loads()[0]) / arguments.connections
    for one in sockets:
        one.close()
    daemon.close()
    return share


def unequal(binary, arguments):
    daemon = Daemon(binary, arguments.workers)
    load = subprocess.Popen(["h2load", "-c1", f"-m{STREAMS}", f"-n{STREAMS}", f"http://127.0.0.1:{daemon.port}/slow"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("the busy connection", lambda: sum(daemon.loads()[1]) == STREAMS)
    sockets = daemon.stay(arguments.connections)
    time.sleep(0.05)  # the last answer's end
    connections, requests = daemon.loads()
    share = (connections[requests.index(max(requests))] - 1) / arguments.connections
    for one in sockets:
        one.close()
    stop(load)
    daemon.close()
    return share


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", required=True, help="may be given more than once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{arguments.connections} connections, {arguments.workers} workers, {arguments.rounds} rounds\n")
    print("| binary | connections | mean share | worst share |")
    print("|---|---|---|---|")
    for binary in arguments.binary:
        for kind in (equal, unequal):
            shares = [kind(binary, arguments) for _ in range(arguments.rounds)]
            print(f"| {os.path.basename(binary)} | {kind.__name__} | {statistics.mean(shares):.2f} | {max(shares):.2f} |", flush=True)


if __name__ == "__main__":
    main()
