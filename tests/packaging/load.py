#!/usr/bin/env python3
"""Asks each URL again and again, over a connection that is kept and over a new one for each request.

    tests/packaging/load.py [--restarts] FILE URL...

FILE has the counts at any moment: a line of the requests that each of the clients has had answered,
then a line for each that failed. A request is answered by a whole 200 and nothing else. A kept
connection may only be closed after an answer that said so; with --restarts also before the first
byte of an answer, since a server that stops closes what is idle, and the request is then asked once
more over a new connection. Ends when there is FILE.over and every client has had its answer."""
import os
import socket
import ssl
import sys
import threading
import time
import urllib.parse

PATIENCE_S = 20
PAUSE_S = 0.008
WRITE_EVERY_S = 0.02


class Closed(ConnectionError):
    """Before the first byte of an answer."""


class Connection:
    def __init__(self, url, trust):
        self.host = url.hostname
        raw = socket.create_connection((url.hostname, url.port), timeout=PATIENCE_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = trust.wrap_socket(raw, server_hostname=self.host) if trust else raw
        self.input = self.socket.makefile("rb")

    def ask(self, path, kept):
        """Whether the connection can be used again."""
        closing = "" if kept else "Connection: close\r\n"
        try:
            self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{closing}\r\n".encode())
            status = self.input.readline()
        except (ConnectionError, ssl.SSLError) as problem:
            raise Closed(repr(problem)) from problem
        if not status:
            raise Closed("no answer")
        if not status.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"answered by {status!r}")
        fields = {}
        while (line := self.input.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip().lower()
        length = int(fields["content-length"])
        body = self.input.read(length)
        if len(body) != length:
            raise ConnectionError(f"{len(body)} bytes of {length}")
        return kept and fields.get("connection") != "close"

    def close(self):
        self.input.close()
        self.socket.close()


class Client(threading.Thread):
    def __init__(self, url, kept, restarts, over):
        super().__init__()
        self.url = urllib.parse.urlsplit(url)
        self.kept = kept
        self.restarts = restarts
        self.over = over
        self.name = f"{url} {'kept' if kept else 'new'}"
        self.answered = 0
        self.failures = []
        self.trust = None
        if self.url.scheme == "https":
            self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.trust.check_hostname = False
            self.trust.verify_mode = ssl.CERT_NONE

    def run(self):
        connection = None
        served = 0  # on this connection
        while not self.over.is_set():
            again = False
            try:
                if connection is None:
                    served = 0
                    connection = Connection(self.url, self.trust)
                again = connection.ask(self.url.path, self.kept)
                served += 1
                self.answered += 1
            except (OSError, ValueError, KeyError) as problem:
                if not (self.restarts and served > 0 and isinstance(problem, Closed)):
                    self.failures.append(f"{time.time():.3f} {self.name}: {problem!r} after {served} answers")
            if not again and connection is not None:
                connection.close()
                connection = None
            time.sleep(PAUSE_S)


def write(path, clients):
    lines = [" ".join(str(client.answered) for client in clients)]
    for client in clients:
        lines += client.failures
    with open(path + ".new", "w", encoding="ascii") as out:
        out.write("\n".join(lines) + "\n")
    os.rename(path + ".new", path)


def main():
    words = sys.argv[1:]
    restarts = words[0] == "--restarts"
    path, *urls = words[1:] if restarts else words
    over = threading.Event()
    clients = [Client(url, kept, restarts, over) for url in urls for kept in (True, False)]
    for client in clients:
        client.start()
    while not os.path.exists(path + ".over"):
        write(path, clients)
        time.sleep(WRITE_EVERY_S)
    over.set()
    for client in clients:
        client.join()
    write(path, clients)


main()
