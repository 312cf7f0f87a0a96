#!/usr/bin/env python3
"""How connections that stay for long are divided over the workers, and what the difference means for those who use them.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/spread.py --binary build/release/revproxyd --workers 2 --connections 8 --rounds 20

In each round a daemon of its own gets that many connections, one after the other, each of which asks once and stays; `ctl status`
says which worker has how many. "equal" connections come to idle workers. For "unequal" ones a client of HTTP/2 keeps one worker busy
over one connection before they come: that worker should get few of them.

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
import time

from servers import free_ports, start, stop, wait_for, write

CONFIG = """\
workers: {workers}
listeners: [ {{ name: web, address: "127.0.0.1:{port}" }} ]
limits: {{ requests_per_connection: 0 }}
routes: [ {{ respond: {{ body: "here" }} }} ]
access_log: off
log: {{ level: error, path: {dir}/proxy.log }}
admin: {{ socket: {dir}/proxy.sock }}
"""

ASKS = b"GET / HTTP/1.1\r\nHost: spread.test\r\n\r\n"


class Daemon:
    def __init__(self, binary, workers):
        self.binary = binary
        self.directory = tempfile.TemporaryDirectory()
        self.port, = free_ports(1)
        config = write(self.directory.name, "proxy.yaml", CONFIG.format(workers=workers, port=self.port, dir=self.directory.name))
        self.process = start([binary, "-c", config], self.port)
        wait_for("the end of the first connection", lambda: sum(self.loads()) == 0)

    def loads(self):
        """Connections by worker."""
        status = subprocess.run([self.binary, "ctl", "--socket", f"{self.directory.name}/proxy.sock", "status"],
                                check=True, capture_output=True, text=True).stdout
        return [int(one) for one in re.findall(r"worker-\d+: (\d+) connections", status)]

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
        stop(self.process)
        self.directory.cleanup()


def equal(binary, arguments):
    daemon = Daemon(binary, arguments.workers)
    sockets = daemon.stay(arguments.connections)
    share = max(daemon.loads()) / arguments.connections
    for one in sockets:
        one.close()
    daemon.close()
    return share


def unequal(binary, arguments):
    daemon = Daemon(binary, arguments.workers)
    load = subprocess.Popen(["h2load", "-c1", "-m32", "-D60", f"http://127.0.0.1:{daemon.port}/"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("the busy connection", lambda: sum(daemon.loads()) == 1)
    busy = daemon.loads().index(1)
    time.sleep(2.5)  # it has been seen to be busy
    sockets = daemon.stay(arguments.connections)
    share = (daemon.loads()[busy] - 1) / arguments.connections
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
