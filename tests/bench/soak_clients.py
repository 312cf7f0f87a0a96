#!/usr/bin/env python3
"""The clients of soak.py, each class a process of its own, and the server that takes their uploads.

  soak_clients.py CLASS PORT THREADS     says "begun"; at a line on standard input finishes what is under way and says in JSON what it did
  soak_clients.py serve PORT

A class is a word in the path of its requests, /soak/CLASS/..., so that the access log can be held against what the class counted:
`sent` are requests that were sent whole, `ok` those whose answer came whole and right. Blocking sockets and threads: what a client does
can be read from top to bottom, and it never sends a request that it has not time for.
"""

import asyncio
import collections
import itertools
import json
import os
import random
import re
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

PATIENCE = 60
SMALL = b"".join(b"benchmark "[i % 10:i % 10 + 1] for i in range(1024))  # what origin.cpp sends
BIG = bytes(range(256)) * 2048
OWN = b"own answer"

Answer = collections.namedtuple("Answer", "status body last")


class Failure(Exception):
    pass


class Connection:
    """HTTP/1.1 as a client sees it."""

    def __init__(self, port, tls=None, small=False, session=None):
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="soak.test", session=session)
        self.rest = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def fill(self, size=65536):
        more = self.socket.recv(size)
        if not more:
            raise Failure("the connection was closed in front of an answer" if not self.rest else "the connection was closed in an answer")
        self.rest += more

    def until(self, mark):
        while mark not in self.rest:
            self.fill()
        found, self.rest = self.rest.split(mark, 1)
        return found

    def exactly(self, size, pace=None):
        while len(self.rest) < size:
            if pace:
                time.sleep(pace)
            self.fill()
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def head(self):
        lines = self.until(b"\r\n\r\n").lower().split(b"\r\n")
        return int(lines[0].split()[1]), dict(line.split(b": ", 1) for line in lines[1:])

    def answer(self, pace=None):
        status, fields = self.head()
        body = self.chunks(pace) if b"transfer-encoding" in fields else self.exactly(int(fields.get(b"content-length", 0)), pace)
        return Answer(status, body, b"close" in fields.get(b"connection", b""))

    def chunks(self, pace):
        body = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            body += self.exactly(size, pace)
            self.exactly(2)
            if size == 0:
                return body


class Client:
    """What the threads of one class share, and what they count."""

    def __init__(self, name, port):
        self.name = name
        self.port = port
        self.tls = None
        if name.startswith("tls-"):
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
            if name.endswith(("-streams", "-h2leave")):
                self.tls.set_alpn_protocols(["h2"])
        self.ended = threading.Event()
        self.number = itertools.count()
        self.lock = threading.Lock()
        self.sent = self.ok = self.tunnels = 0
        self.failures = []

    def connect(self, **options):
        return Connection(self.port, self.tls, **options)

    def request(self, method="GET", fields="", query=""):
        return (f"{method} /soak/{self.name}/{next(self.number)}{query} HTTP/1.1\r\nHost: soak.test\r\n{fields}\r\n").encode()

    def count(self, sent=0, ok=0):
        with self.lock:
            self.sent += sent
            self.ok += ok

    def check(self, answer, body, status=200):
        if answer.status != status or answer.body != body:
            raise Failure(f"status {answer.status}, {len(answer.body)} bytes: {answer.body[:80]!r}")
        self.count(ok=1)

    def failed(self, error):
        with self.lock:
            if len(self.failures) < 20:
                self.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {type(error).__name__}: {error}")
            elif len(self.failures) == 20:
                self.failures.append("and more")

    def run(self, course):
        """The course from its beginning as often as there is time, and after a failure."""
        while not self.ended.is_set():
            try:
                course(self)
            except (OSError, Failure, ValueError) as error:
                self.failed(error)
                time.sleep(0.05)


def kept(client):
    """One request after the other on a connection, until it is the last that the server takes there."""
    connection = client.connect()
    answer = None
    while not client.ended.is_set() and not (answer and answer.last):
        connection.send(client.request())
        client.count(sent=1)
        answer = connection.answer()
        client.check(answer, OWN if client.name.endswith("-own") else SMALL)
    connection.close()


sessions = threading.local()


def fresh(client):
    """A connection for each request; over TLS every other one resumes a session."""
    connection = client.connect(session=getattr(sessions, "last", None))
    connection.send(client.request(fields="Connection: close\r\n"))
    client.count(sent=1)
    client.check(connection.answer(), SMALL)
    if client.tls:
        sessions.last = None if connection.socket.session_reused else connection.socket.session
    connection.close()


def receipt(body):
    return f"{len(body)} {zlib.crc32(body)}".encode()


def chunked(body):
    cuts = sorted(random.sample(range(1, len(body)), min(3, len(body) - 1)))
    pieces = [body[a:b] for a, b in zip([0] + cuts, cuts + [len(body)])]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def upload(client):
    """Bodies of up to 200 KB; what came is told by its length and sum."""
    connection = client.connect()
    answer = None
    while not client.ended.is_set() and not (answer and answer.last):
        body = random.randbytes(random.choice([1, 100, 5000, 200000]))
        if client.name.endswith("-chunked"):
            connection.send(client.request("POST", "Transfer-Encoding: chunked\r\n") + chunked(body))
        else:
            connection.send(client.request("POST", f"Content-Length: {len(body)}\r\n") + body)
        client.count(sent=1)
        answer = connection.answer()
        client.check(answer, receipt(body))
    connection.close()


def pipelined(client):
    """Eight at once. What stands behind an answer that is the last was never taken (RFC 9112 section 9.3.2), and counts as not sent."""
    connection = client.connect()
    answer = None
    while not client.ended.is_set() and not (answer and answer.last):
        connection.send(b"".join(client.request() for _ in range(8)))
        for _ in range(8):
            answer = connection.answer()
            client.count(sent=1)
            client.check(answer, SMALL)
            if answer.last:
                break
    connection.close()


def websocket(client):
    """The first five stay open until the end, over every reload; others end with their first echo. Echoes are compared."""
    with client.lock:
        client.tunnels += 1
        stays = client.tunnels <= 5
    connection = client.connect()
    connection.send(client.request(fields="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    client.count(sent=1)
    status, _ = connection.head()
    while not client.ended.is_set():
        data = random.randbytes(random.choice([2, 200, 20000]))
        connection.send(data)
        if connection.exactly(len(data)) != data:
            raise Failure("another echo")
        client.ended.wait(1.0)
        if not stays:
            break
    client.check(Answer(status, b"", False), b"", 101)
    connection.close()


def slow_reader(client):
    """512 KiB in sips; the proxy has to hold the server back."""
    connection = client.connect(small=True)
    connection.send(client.request(query="?big"))
    client.count(sent=1)
    client.check(connection.answer(pace=0.005), BIG)
    connection.close()


def slow_writer(client):
    """Head and body byte by byte."""
    connection = client.connect()
    body = random.randbytes(50)
    for byte in client.request("POST", f"Content-Length: {len(body)}\r\n") + body:
        connection.send(bytes([byte]))
        time.sleep(0.01)
    client.count(sent=1)
    client.check(connection.answer(), receipt(body))
    connection.close()


def leaves(client):
    """Goes in the middle: of its head, of its body (in order, or by a reset), before the answer, in the answer."""
    connection = client.connect(small=True)
    if client.name.endswith("-head"):
        connection.send(client.request()[:-3])
    elif client.name.endswith(("-body", "-reset")):
        connection.send(client.request("POST", "Content-Length: 100000\r\n") + bytes(50000))
        if client.name.endswith("-reset"):
            time.sleep(0.02)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif client.name.endswith("-asked"):
        connection.send(client.request())
    else:
        connection.send(client.request(query="?big"))
        connection.until(b"\r\n\r\n")
    client.count(sent=1)
    connection.close()
    client.ended.wait(0.02)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
OPENING = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, struct.pack(">HI", 1, 0)) +  # no dynamic table
           frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))


class H2:
    """HTTP/2 just as far as GET and SMALL; h2load does not know what GOAWAY asks for."""

    def __init__(self, client):
        self.client = client
        self.connection = client.connect()
        self.connection.send(OPENING)
        self.last = 0
        self.open = {}
        self.going = False

    def ask(self, count):
        out = b""
        for _ in range(count):
            self.last = self.last + 2 if self.last else 1
            path = f"/soak/{self.client.name}/{next(self.client.number)}".encode()
            out += frame(HEADERS, 5, self.last, b"\x82\x86" + literal(b":authority", b"soak.test") + literal(b":path", path))
            self.open[self.last] = [None, b""]
        self.connection.send(out)

    def take(self):
        """One frame."""
        head = self.connection.exactly(9)
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
        payload = self.connection.exactly(int.from_bytes(head[:3], "big"))
        if kind == GOAWAY:
            self.leave(*struct.unpack(">II", payload[:8]))
        elif kind in (SETTINGS, PING) and not flags & 1:
            self.connection.send(frame(kind, 1, 0, payload if kind == PING else b""))
        elif kind == RST_STREAM:
            self.reset(stream, struct.unpack(">I", payload)[0])
        elif stream and kind in (HEADERS, DATA):
            if kind == DATA:
                self.open[stream][1] += payload
            elif self.open[stream][0] is None:
                self.open[stream][0] = 200 if payload.lstrip(b"\x20")[:1] == b"\x88" else 0
            if flags & 1:
                status, body = self.open.pop(stream)
                self.client.count(sent=1)
                self.client.check(Answer(status, body, False), SMALL)

    def leave(self, last, code):
        if code != 0:
            raise Failure(f"GOAWAY with code {code}")
        self.going = True
        self.open = {stream: state for stream, state in self.open.items() if stream <= last}

    def reset(self, stream, code):
        if self.open.pop(stream, None) is not None and code != 7:  # REFUSED_STREAM was never looked at, so never sent
            raise Failure(f"stream reset with code {code}")


def streams(client):
    """Up to sixteen at once. What GOAWAY says was not taken counts as not sent."""
    h2 = H2(client)
    while not h2.going and not client.ended.is_set():
        h2.ask(random.randint(1, 16))
        while h2.open:
            h2.take()
    h2.connection.close()


def leaves_streams(client):
    """Goes while streams are under way, once the first answer has come."""
    h2 = H2(client)
    h2.ask(1)
    while h2.open:
        h2.take()
    h2.ask(8)
    client.count(sent=8)
    h2.connection.close()
    client.ended.wait(0.02)


class Server(asyncio.Protocol):
    """Tells of each upload how much came and its sum, sends BIG in chunks, and echoes what follows an upgrade."""

    def __init__(self):
        self.rest = bytearray()
        self.echoes = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.echoes:
            return self.transport.write(data)
        self.rest += data
        while self.rest and not self.echoes and self.serve():
            pass
        return None

    def serve(self):
        """One request; false while it is not there as a whole."""
        end = self.rest.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.rest[:end]).lower()
        if b"\nupgrade: websocket" in head:
            self.echoes = True
            self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            self.transport.write(bytes(self.rest[end + 4:]))
            return True
        taken = self.body(head, end + 4)
        if taken is None:
            return False
        body, size = taken
        del self.rest[:size]
        if b"?big http" in head:
            self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                 b"".join(b"8000\r\n%s\r\n" % BIG[i:i + 32768] for i in range(0, len(BIG), 32768)) + b"0\r\n\r\n")
        else:
            answer = receipt(body)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
        return True

    def body(self, head, at):
        if b"\ntransfer-encoding: chunked" in head:
            return self.chunks(at)
        length = re.search(rb"\ncontent-length: (\d+)", head)
        size = at + (int(length[1]) if length else 0)
        return (bytes(self.rest[at:size]), size) if len(self.rest) >= size else None

    def chunks(self, at):
        body = []
        while True:
            end = self.rest.find(b"\r\n", at)
            size = int(self.rest[at:end], 16) if end > 0 else 0
            if end < 0 or len(self.rest) < end + 4 + size:
                return None
            body.append(bytes(self.rest[end + 2:end + 2 + size]))
            at = end + 4 + size
            if size == 0:
                return b"".join(body), at


async def serve(port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


COURSES = {
    "keep": kept, "own": kept, "new": fresh, "post": upload, "chunked": upload, "pipe": pipelined, "ws": websocket,
    "slowread": slow_reader, "slowwrite": slow_writer, "streams": streams, "head": leaves, "body": leaves, "reset": leaves, "asked": leaves,
    "answer": leaves, "h2leave": leaves_streams,
}


def main():
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "serve":
        return asyncio.run(serve(port))
    client = Client(name, port)
    course = COURSES[name.rsplit("-", 1)[1]]
    threads = [threading.Thread(target=client.run, args=(course,)) for _ in range(int(sys.argv[3]))]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    sys.stdin.readline()
    client.ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"sent": client.sent, "ok": client.ok, "failures": client.failures}), flush=True)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
