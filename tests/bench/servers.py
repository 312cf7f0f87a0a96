"""What the scripts beside this one share: ports, processes that listen, their time on the cores, who comes first, an origin, programs
and a certificate."""
import os
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# revproxyd itself, as a server that answers at once.
ORIGIN = """\
workers: 1
listeners: [ {{ name: web, address: "127.0.0.1:{origin}" }} ]
limits: {{ requests_per_connection: 0 }}
routes: [ {{ respond: {{ body: "{text}" }} }} ]
access_log: off
log: {{ level: error, path: {dir}/origin.log }}
admin: {{ socket: {dir}/origin.sock }}
"""

FIRST = -15  # niceness of what stands for well-behaved machines


def come_first(pid=0):
    """Before the proxy; without the right to say so everything is even."""
    for task in os.listdir(f"/proc/{pid}/task") if pid else [0]:
        try:
            os.setpriority(os.PRIO_PROCESS, int(task), FIRST)
        except PermissionError:
            return


def cpu_seconds(*pids):
    """Of whole processes, user and system time of all their threads, by clocks as clock_getcpuclockid(3) encodes them."""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1e9


def free_ports(count):
    """At once, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(what, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{os.path.basename(sys.argv[0])}: {what} takes more than {seconds:g} s")
        time.sleep(0.05)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def write(directory, name, text):
    """The path of a file with that text."""
    path = os.path.join(directory, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def compiled(name, directory):
    """The path of the program whose source NAME.cpp is beside this file."""
    path = os.path.join(directory, name)
    subprocess.run(["c++", "-std=c++20", "-O2", "-o", path, os.path.join(HERE, name + ".cpp"), "-lssl", "-lcrypto"], check=True)
    return path


def certificate(directory):
    """The paths of a certificate for bench.test and of its key."""
    cert, key = (os.path.join(directory, name) for name in ("cert.pem", "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
                    cert, "-days", "30", "-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test"],
                   check=True, stderr=subprocess.DEVNULL)
    return cert, key


def start(command, port):
    """A process that listens on `port` by now."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        wait_for(f"the start of {command[-1]}", lambda: process.poll() is None and listens(port))
    except SystemExit:
        stop(process)
        raise
    return process


def stop(process, seconds=10):
    """SIGTERM to the process that we started; what it forked goes with it. Its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
