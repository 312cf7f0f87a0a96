"""What the scripts beside this one share: ports, processes that listen, their time on the cores, who comes first, an origin, programs
and a certificate."""
import glob
import os
import shutil
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

# How a configuration of revproxyd in front of an origin begins.
FRONT = """\
workers: 1
listeners:
  - {{ name: plain, address: "127.0.0.1:{plain}" }}
  - {{ name: tls, address: "127.0.0.1:{tls}", tls: {{}} }}
certificates: [ {{ hosts: [bench.test], cert: {cert}, key: {key} }} ]
limits: {{ requests_per_connection: 0 }}
"""

# One worker in front of an origin; `log` and `user` are directives.
NGINX = """\
daemon off;
worker_processes 1;
pid {dir}/{tls}.pid;
error_log {dir}/nginx.log;
{user}
events {{ worker_connections 4096; }}
http {{
  {log}
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl http2;
    server_name bench.test;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }}
  }}
}}
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


def which(name):
    """The path of a program of the system, which may be where only root looks."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SystemExit(f"{os.path.basename(sys.argv[0])}: {name} is not installed")
    return path


def family(pid):
    """The process and all below it."""
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path, encoding="ascii") as file:
                for child in file.read().split():
                    found += family(int(child))
        except OSError:
            pass
    return found


def pinned(command, cpu, **options):
    """A process on that core alone."""
    return subprocess.Popen(command, stdin=options.pop("stdin", subprocess.DEVNULL), start_new_session=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}), **options)


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
