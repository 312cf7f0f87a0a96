"""A gRPC server without generated code: messages are bytes. Usage: server.py READY [CERTIFICATE KEY]

It listens on a port of the kernel's choice on 127.0.0.1 and writes the port into the file READY. What one call must know of
another goes through keys: the metadata `x-key` names the call, and the unary methods below ask about it.
"""

import os
import sys
import threading
from concurrent import futures

import grpc

PATIENCE = 20  # seconds; only a failing test waits so long


class Board:
    """What has happened to the calls, by key."""

    def __init__(self):
        self._changed = threading.Condition()
        self._counts = {}

    def note(self, key, what):
        with self._changed:
            self._counts[key, what] = self._counts.get((key, what), 0) + 1
            self._changed.notify_all()

    def wait(self, key, what, count):
        """True when it has happened so often, within PATIENCE."""
        with self._changed:
            return self._changed.wait_for(lambda: self._counts.get((key, what), 0) >= count, PATIENCE)


BOARD = Board()


def metadata_of(context):
    return dict(context.invocation_metadata())


def key_of(context):
    return metadata_of(context).get("x-key", "")


def unary(request, context):
    """The message, and the metadata that it came with: in front of it and behind it."""
    given = metadata_of(context)
    context.send_initial_metadata([(name, given[name]) for name in ("x-text", "x-data-bin") if name in given])
    context.set_trailing_metadata(
        [("x-end-" + name[2:], given[name]) for name in ("x-text", "x-data-bin") if name in given]
    )
    return request


def download(request, context):
    """As many messages as asked for, each when the client has released it."""
    key = key_of(context)
    for index in range(int(request)):
        if not BOARD.wait(key, "released", index + 1):
            context.abort(grpc.StatusCode.ABORTED, "nobody released message %d" % index)
        yield b"message %d" % index


def upload(requests, context):
    """Counts messages and bytes."""
    key = key_of(context)
    messages = size = 0
    for message in requests:
        messages += 1
        size += len(message)
        BOARD.note(key, "seen")
    return b"%d %d" % (messages, size)


def chat(requests, context):
    for message in requests:
        yield message


def abort(request, context):
    context.set_trailing_metadata([("x-why", "asked"), ("x-why-bin", b"\x00\xff")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "100 % no: über")


def abort_late(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "after a message")


def slow(request, context):
    """Answers when it was cancelled, that is never to this client."""
    key = key_of(context)
    over = threading.Event()

    def ended():
        BOARD.note(key, "cancelled")
        over.set()

    if not context.add_callback(ended):
        ended()
    BOARD.note(key, "started")
    over.wait(PATIENCE)
    return b""


def slow_stream(request, context):
    yield b"first"
    slow(request, context)


def remaining(request, context):
    """The deadline as it came here, in seconds."""
    left = context.time_remaining()
    return b"none" if left is None or left > 1e6 else b"%f" % left


def note(request, context):
    """`KEY WHAT`: notes it."""
    key, what = request.decode().split()
    BOARD.note(key, what)
    return b""


def wait(request, context):
    """`KEY WHAT COUNT`: whether it has happened so often."""
    key, what, count = request.decode().split()
    return b"yes" if BOARD.wait(key, what, int(count)) else b"no"


def check_health(request, context):
    """grpc.health.v1.HealthCheckRequest { string service = 1; } to HealthCheckResponse { ServingStatus status = 1; }"""
    service = request[2 : 2 + request[1]].decode() if request[:1] == b"\x0a" else ""
    if service in ("", "test.Calls"):
        return b"\x08\x01"  # SERVING
    if service == "test.Broken":
        return b"\x08\x02"  # NOT_SERVING
    context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")


CALLS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Download": grpc.unary_stream_rpc_method_handler(download),
    "Upload": grpc.stream_unary_rpc_method_handler(upload),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Abort": grpc.unary_unary_rpc_method_handler(abort),
    "AbortLate": grpc.unary_stream_rpc_method_handler(abort_late),
    "Slow": grpc.unary_unary_rpc_method_handler(slow),
    "SlowStream": grpc.unary_stream_rpc_method_handler(slow_stream),
    "Remaining": grpc.unary_unary_rpc_method_handler(remaining),
    "Note": grpc.unary_unary_rpc_method_handler(note),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
}
HEALTH = {"Check": grpc.unary_unary_rpc_method_handler(check_health)}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(ready, certificate=None, key=None):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("test.Calls", CALLS),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", HEALTH),
        )
    )
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(read(key), read(certificate))]))
    server.start()
    with open(ready + ".new", "w") as file:
        file.write(str(port))
    os.rename(ready + ".new", ready)
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
