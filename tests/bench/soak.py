#!/usr/bin/env python3
"""A soak with everything at once, in which every request is accounted for.

  cmake --preset release && cmake --build --preset release --target revproxyd
  tests/bench/soak.py --binary build/release/revproxyd --seconds 1200

Clients of every kind (soak_clients.py, and h2load for volume) are at it at once, as fast as the machine lets them: HTTP/1.1 over kept
and fresh connections, pipelined, uploads of both framings, HTTP/2, WebSockets, slow ones, each plain and over TLS, and some that leave
in the middle. Meanwhile the configuration is reloaded every second, servers are killed and started again, and the logs are turned.

Then the load ends, and it is counted: what each class of clients has sent is what it got, and what the access log has of it; the log
as a whole is what `revproxyd ctl stats` has counted. No request fails but those of clients that left, no line is lost, memory is flat
from the first fifth on, descriptors and connections go back to what they were, and nothing complains. The exit code is 0 only then.

Needs h2load and c++, and root or a hard limit of some thousand descriptors. Two cores are enough; other load does not change the verdict.
"""

import argparse
import collections
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from servers import HERE, compiled, free_ports, listens, stop, wait_for
from soak_clients import OWN

TO_THE_ONE_THAT_STAYS = {"post", "chunked", "ws", "slowread", "slowwrite", "body", "reset", "answer"}
H2LOAD = {
    "h2load-clear-get": (4000, ["-c4", "-m10"]), "h2load-tls-get": (4000, ["-c4", "-m10"]), "h2load-clear-h1": (4000, ["-c8", "--h1"]),
    "h2load-tls-h1": (2000, ["-c8", "--h1"]), "h2load-clear-post": (300, ["-c2", "-m4"]), "h2load-tls-post": (300, ["-c2", "-m4"]),
}
# Threads of each class of clients, times --scale.
CLASSES = {
    **{f"{how}-{name}": threads for how in ("plain", "tls") for name, threads in
       {"keep": 4, "own": 2, "new": 4, "post": 3, "chunked": 3, "pipe": 2, "ws": 10, "slowread": 5, "slowwrite": 5, "streams": 2}.items()},
    "turn-keep": 4, "turn-pipe": 2, "turn-post": 2, "turn-streams": 3, "tls-turn-keep": 3, "tls-turn-streams": 3,
}
# Clients that leave: the codes that their lines may have, and whether each request has one. A head that never ended is no request; the
# streams of a connection that has gone may be given up before anybody has looked at them.
LEAVERS = {
    "plain-leave-head": ({400, 499}, False), "plain-leave-body": ({499}, True), "plain-leave-reset": ({499}, True),
    "plain-leave-asked": ({200, 499}, True), "plain-leave-answer": ({200}, True), "plain-leave-h2leave": ({200, 499}, False),
    "tls-leave-body": ({499}, True), "tls-leave-asked": ({200, 499}, True), "tls-leave-answer": ({200}, True),
    "tls-leave-h2leave": ({200, 499}, False),
}
WARM = 120  # seconds; the first fifth of a shorter run is not over with pools and caches that fill
LINE = re.compile(rb'^\{"ts":[^\n]*?"path":"/soak/([a-z0-9-]+)[^"\n]*"[^\n]*?,"status":(\d+)[^\n]*\}$', re.M)
COMPLAINT = re.compile(r"^.*(?: error: |Sanitizer|runtime error|terminate called|Assertion).*$", re.M)

CONFIG = """\
workers: 2
listeners:
  - {{ name: plain, address: "127.0.0.1:{plain}" }}
  - {{ name: tls, address: "127.0.0.1:{tls}", tls: internal }}
  - {{ name: turn, address: "127.0.0.1:{turn}", timeouts: {{ keepalive: {turning}s }}, limits: {{ requests_per_connection: 300 }} }}
  - {{ name: tlsturn, address: "127.0.0.1:{tlsturn}", tls: internal, timeouts: {{ keepalive: {turning}s }} }}
limits: {{ requests_per_connection: 0 }}
upstreams:
  app:
    servers: [ {{ url: "http://127.0.0.1:{one}" }}, {{ url: "http://127.0.0.1:{two}" }}, {{ url: "http://127.0.0.1:{three}" }} ]
    timeouts: {{ idle: {idle}s }}
    keepalive: {{ idle: 5s }}
    retry: {{ attempts: 3 }}
    health_check: {{ path: /health, interval: 1s }}
  steady: {{ servers: [ {{ url: "http://127.0.0.1:{steady}" }} ], keepalive: {{ idle: 5s }} }}
routes:
  - {{ name: steady, path: [{paths}], to: steady }}
  - {{ name: own, path: ["/soak/plain-own/**", "/soak/tls-own/**"], respond: {{ body: "{own}" }} }}
  - {{ name: app, path: "/soak/**", to: app }}
  - {{ name: extra-{number}, path: "/extra/{number}/**", respond: {{ body: "{number}" }} }}
access_log: {{ path: {dir}/access.json }}
log: {{ level: info, path: {dir}/daemon.log }}
admin: {{ socket: {dir}/admin.sock }}
"""


class Daemon:
    def __init__(self, binary, directory):
        self.binary = binary
        self.dir = directory
        names = ["plain", "tls", "turn", "tlsturn", "one", "two", "three", "steady"]
        self.ports = dict(zip(names, free_ports(len(names))))
        self.config = os.path.join(directory, "soak.yaml")
        self.output = os.path.join(directory, "stderr")
        self.process = None
        self.reloads = 0

    def write(self, number):
        """Every reload brings another route, every second one new listeners, every third a new pool."""
        names = [f"/soak/{name}/**" for name in [*CLASSES, *LEAVERS, *H2LOAD] if name.rsplit("-", 1)[1] in TO_THE_ONE_THAT_STAYS]
        text = CONFIG.format(dir=self.dir, own=OWN.decode(), number=number, turning=60 + number // 2 % 100, idle=60 + number // 3 % 100,
                             paths=", ".join(f'"{name}"' for name in names), **self.ports)
        with open(self.config + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(self.config + ".new", self.config)

    def start(self):
        self.write(0)
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([self.binary, "-c", self.config], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_for("the start", lambda: self.process.poll() is not None or os.path.exists(os.path.join(self.dir, "admin.sock")))
        wait_for("the first answer", lambda: self.process.poll() is not None or self.ctl("status").returncode == 0)
        if self.process.poll() is not None:
            raise SystemExit("soak: the daemon does not start")

    def ctl(self, verb):
        command = [self.binary, "ctl", verb, "--socket", os.path.join(self.dir, "admin.sock")]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def stats(self):
        return json.loads(self.ctl("stats").stdout)

    def reload(self):
        self.reloads += 1
        self.write(self.reloads)
        if self.reloads % 2:
            done = self.ctl("reload")
            return "" if done.returncode == 0 else f"reload {self.reloads}: {done.stdout}{done.stderr}"
        self.process.send_signal(signal.SIGHUP)
        wait_for("a reload", lambda: self.stats()["config_generation"] > self.reloads, 60)
        return ""

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def text(self):
        out = ""
        for path in (self.output, *glob.glob(os.path.join(self.dir, "daemon.log*"))):
            with open(path, encoding="utf-8", errors="replace") as file:
                out += file.read()
        return out


class Ledger:
    """Counts the access log by class and code, file by file as they are turned, and removes what is counted."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.turns = 0
        self.lines = 0
        self.counts = collections.Counter()
        self.strange = []

    def turn(self):
        for name in ("access.json", "daemon.log"):
            path = os.path.join(self.daemon.dir, name)
            os.rename(path, f"{path}.{self.turns}")
        self.daemon.process.send_signal(signal.SIGUSR1)
        wait_for("turning the logs", lambda: os.path.exists(os.path.join(self.daemon.dir, "access.json")))
        # What was on its way may still go to the file of before, so that one is read a turn later.
        if self.turns > 0:
            self.read(os.path.join(self.daemon.dir, f"access.json.{self.turns - 1}"))
        self.turns += 1

    def read(self, path):
        with open(path, "rb") as file:
            data = file.read()
        lines = data.count(b"\n")
        found = LINE.findall(data)
        self.lines += lines
        self.counts.update((name.decode(), int(status)) for name, status in found)
        if len(found) != lines:
            self.strange += [line[:300] for line in data.splitlines() if not LINE.match(line)][:5]
        for line in data.splitlines()[::50]:
            try:
                json.loads(line)
            except ValueError:
                self.strange.append(line[:300])
        os.unlink(path)

    def read_rest(self):
        for path in glob.glob(os.path.join(self.daemon.dir, "access.json*")):
            self.read(path)

    def of(self, name):
        return {status: count for (one, status), count in self.counts.items() if one == name}


def stand_back():
    """Clients stand for other machines, so they get what the daemon and its servers leave."""
    os.nice(10)


class Load:
    """The clients of one class."""

    def __init__(self, name, port, threads):
        self.name = name
        command = [sys.executable, os.path.join(HERE, "soak_clients.py"), name, str(port), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=stand_back)

    def stop(self):
        """Two steps, so that all hear of the end before the first is waited for."""
        self.process.stdin.write("end\n")
        self.process.stdin.flush()

    def result(self):
        output, _ = self.process.communicate(timeout=150)
        return json.loads(output.splitlines()[-1])


class Volume:
    """h2load again and again, a whole number of requests at a time: what it breaks off at the end of a time is in no count of its."""

    def __init__(self, name, port, body):
        self.name = name
        self.requests, extra = H2LOAD[name]
        scheme = "https" if "-tls-" in name else "http"
        self.command = ["nice", "h2load", *extra, "-n", str(self.requests), *(["-d", body] if name.endswith("-post") else []),
                        f"{scheme}://127.0.0.1:{port}/soak/{name}/0"]
        self.done = {"sent": 0, "ok": 0, "failures": []}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            done = subprocess.run(self.command, capture_output=True, text=True, timeout=300, check=False)
            started = re.search(r"(\d+) started, ", done.stdout)
            good = re.search(r"^status codes: (\d+) 2xx", done.stdout, re.M)
            self.done["sent"] += int(started[1]) if started else 0
            self.done["ok"] += int(good[1]) if good else 0
            if not good or int(good[1]) != self.requests:
                self.done["failures"].append(time.strftime("%H:%M:%S ", time.gmtime()) + done.stdout[-900:] + done.stderr[-300:])

    def stop(self):
        self.ended.set()

    def result(self):
        self.thread.join()
        return self.done


class Soak:
    def __init__(self, options, directory):
        self.options = options
        self.daemon = Daemon(os.path.abspath(options.binary), directory)
        self.ledger = Ledger(self.daemon)
        self.servers = {}
        self.loads = []
        self.faults = []
        self.memory = []
        self.kills = 0
        self.ended = threading.Event()

    def prepare(self):
        self.origin = compiled("origin", self.daemon.dir)
        self.body = os.path.join(self.daemon.dir, "body")
        with open(self.body, "wb") as file:
            file.write(os.urandom(10000))
        self.start_servers()
        self.daemon.start()
        time.sleep(2.5)  # the first checks of the servers' health
        self.descriptors = self.daemon.descriptors()

    def start_servers(self):
        for name in ("one", "two", "three"):
            self.start_server(name)
        self.servers["steady"] = subprocess.Popen([sys.executable, os.path.join(HERE, "soak_clients.py"), "serve",
                                                   str(self.daemon.ports["steady"])])
        for name in self.servers:
            wait_for(f"server {name}", lambda name=name: listens(self.daemon.ports[name]))

    def start_server(self, name):
        self.servers[name] = subprocess.Popen([self.origin, str(self.daemon.ports[name])])

    def port(self, name):
        tls = "tls" if name.startswith("tls-") or "-tls-" in name else ""
        return self.daemon.ports[tls + ("turn" if "turn-" in name else "" if tls else "plain")]

    def start_load(self):
        for name, threads in CLASSES.items():
            self.loads.append(Load(name, self.port(name), max(1, round(threads * self.options.scale))))
        self.loads += [Load(name, self.port(name), 2) for name in LEAVERS]
        self.loads += [Volume(name, self.port(name), self.body) for name in H2LOAD]

    # What happens beside the load, each in a thread of its own.

    def every(self, seconds, act):
        while not self.ended.wait(seconds):
            try:
                fault = act()
            except (OSError, ValueError, SystemExit, subprocess.SubprocessError) as error:
                fault = f"{act.__name__}: {error}"
            if fault:
                self.faults.append(fault)

    def kill_one(self):
        name = ("one", "two", "three")[self.kills % 3]
        self.kills += 1
        self.servers[name].kill()
        self.servers[name].wait()
        self.ended.wait(1.0)
        self.start_server(name)
        wait_for(f"server {name}", lambda: listens(self.daemon.ports[name]))

    def sample(self):
        self.memory.append(self.daemon.memory_kib())

    def run(self):
        sampling = min(60.0, self.options.seconds / 15)
        threads = [threading.Thread(target=self.every, args=what) for what in (
            (1.0, self.daemon.reload), (1.5, self.kill_one), (4.0, self.ledger.turn), (sampling, self.sample))]
        self.start_load()
        for thread in threads:
            thread.start()
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end and self.daemon.process.poll() is None:
            time.sleep(0.2)
        self.ended.set()
        for thread in threads:
            thread.join()

    def end_load(self):
        for load in self.loads:
            load.stop()
        return {load.name: load.result() for load in self.loads}

    def quiet(self):
        """Waits until nothing is under way and what was kept open for later has been closed."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            stats = self.daemon.stats()
            self.left = self.daemon.descriptors()  # once they have come back, a health check may take one again
            if not stats["connections_active"] and not stats["requests_active"] and self.left <= self.descriptors:
                break
            time.sleep(0.5)
        time.sleep(1.0)  # the last lines of the log
        return self.daemon.stats()

    def close(self):
        self.ended.set()
        for load in self.loads:
            if isinstance(load, Load):
                stop(load.process)
            else:
                load.stop()
        for server in self.servers.values():
            server.kill()
            server.wait()
        return stop(self.daemon.process, 40) if self.daemon.process else None

    # The account.

    def account(self, results, stats):
        print("| class | sent | ok | logged | difference |\n|---|---|---|---|---|")
        for name, result in results.items():
            logged = self.ledger.of(name)
            lines = sum(logged.values())
            self.judge(name, result, logged)
            ok = "" if name in LEAVERS else result["ok"]
            told = f"{lines} ({', '.join(f'{n} x {s}' for s, n in sorted(logged.items()))})" if name in LEAVERS else lines
            print(f"| {name} | {result['sent']} | {ok} | {told} | {lines - result['sent']} |")
        print(f"| sum | {sum(r['sent'] for r in results.values())} | | {self.ledger.lines} | |")
        by_hundreds = collections.Counter()
        for (_, status), count in self.ledger.counts.items():
            by_hundreds[status // 100] += count
        counted = stats["responses"]
        # A 499 is the log's word for an answer that was never begun.
        for what, logged, count in (("requests", self.ledger.lines, stats["requests"]), ("1xx", by_hundreds[1], counted["1xx"]),
                                    ("2xx", by_hundreds[2], counted["2xx"]), ("3xx", by_hundreds[3], counted["3xx"]),
                                    ("4xx and none", by_hundreds[4], counted["4xx"] + counted["none"]),
                                    ("5xx", by_hundreds[5], counted["5xx"])):
            self.expect(logged == count, f"{what}: {logged} lines in the access log, {count} in `ctl stats`")

    def expect(self, good, fault):
        if not good:
            self.faults.append(fault)

    def judge(self, name, result, logged):
        lines = sum(logged.values())
        for failure in result["failures"]:
            self.faults.append(f"{name}: {failure}")
        self.expect(result["sent"] > 0, f"{name}: nothing was sent")
        if name in LEAVERS:
            codes, each = LEAVERS[name]
            self.expect(set(logged) <= codes, f"{name}: codes {sorted(logged)}")
            self.expect(lines == result["sent"] if each else lines <= result["sent"], f"{name}: {result['sent']} sent, {lines} logged")
            return
        self.expect(result["sent"] == result["ok"] == lines, f"{name}: {result['sent']} sent, {result['ok']} ok, {lines} logged")
        self.expect(set(logged) <= {101 if name.endswith("-ws") else 200}, f"{name}: codes {sorted(logged)}")

    def judge_daemon(self, stats, code):
        for name in ("access_log_dropped", "log_dropped", "connections_active", "requests_active", "reloads_failed"):
            self.expect(stats[name] == 0, f"{name}: {stats[name]}")
        self.expect(stats["reloads_ok"] == self.daemon.reloads, f"reloads: {self.daemon.reloads} asked for, {stats['reloads_ok']} done")
        self.expect(not stats["connections_refused"], f"connections refused: {stats['connections_refused']}")
        self.expect(code == 0, f"the daemon ended with {code}")
        for line in COMPLAINT.findall(self.daemon.text())[:20]:
            self.faults.append(f"the daemon says: {line}")
        for line in self.ledger.strange[:10]:
            self.faults.append(f"a line of the access log: {line!r}")
        self.expect(self.left <= self.descriptors, f"descriptors: {self.descriptors} at the start, {self.left} at the end")
        first, last = self.memory[len(self.memory) // 5], self.memory[-1]
        if not self.options.no_memory and self.options.seconds >= WARM:
            self.expect(last <= first * 1.1 + 4096, f"memory: {first} KiB after the first fifth, {last} KiB at the end")

    def report(self, results, stats, code):
        self.account(results, stats)
        self.judge_daemon(stats, code)
        print(f"\n{self.options.seconds:g} s, {self.daemon.reloads} reloads, {self.kills} servers killed, logs turned {self.ledger.turns} "
              f"times; {stats['connections_accepted']} connections, {stats['retries']} retries, failed connections "
              f"{json.dumps(stats['connections_failed'])}; longest turn of a loop "
              f"{max(loop['longest_turn_us'] for loop in stats['loops']) // 1000} ms")
        print(f"descriptors: {self.descriptors} at the start, {self.left} at the end")
        print("memory, MiB: " + " ".join(f"{sample / 1024:.1f}" for sample in self.memory))
        for fault in self.faults:
            print(f"FAULT: {fault}")
        print("faults: none" if not self.faults else f"faults: {len(self.faults)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/release/revproxyd", help="the revproxyd to measure")
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--scale", type=float, default=1, help="times the number of clients")
    parser.add_argument("--no-memory", action="store_true", help="do not judge memory, which a build with sanitizers keeps")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="revproxyd-soak.") as directory:
        soak = Soak(options, directory)
        results = stats = None
        try:
            soak.prepare()
            soak.run()
            results = soak.end_load()
            stats = soak.quiet()
        finally:
            code = soak.close()
            if results is None and soak.daemon.process:
                print(soak.daemon.text()[-5000:], file=sys.stderr)
        soak.ledger.read_rest()
        soak.report(results, stats, code)
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
