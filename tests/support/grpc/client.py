"""Calls every kind of method of server.py through a proxy. Usage: client.py plain|tls HOST:PORT [CHECK...]

Each check prints one line; the exit status is that of the worst. Over TLS the certificate that the proxy presents is the root
of trust.
"""

import itertools
import socket
import ssl
import sys
import time
import traceback

import grpc

PATIENCE = 30  # seconds; only a failing check waits so long
LARGE = 64 * 1024 * 1024
KEYS = ("call-%d" % number for number in itertools.count())


def require(condition, text):
    if not condition:
        raise AssertionError(text)


def presented_certificate(host, port):
    """In PEM. A listener that speaks nothing but HTTP/2 wants to be asked for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, port), PATIENCE) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))


def open_channel(security, target, options=()):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), *options]
    if security == "plain":
        return grpc.insecure_channel(target, options)
    host, port = target.rsplit(":", 1)
    root = presented_certificate(host, int(port))
    credentials = grpc.ssl_channel_credentials(root.encode())
    return grpc.secure_channel(target, credentials, [*options, ("grpc.ssl_target_name_override", "localhost")])


class Calls:
    """The methods of the server over one channel."""

    def __init__(self, security, target):
        self.security = security
        self.target = target
        self.channel = open_channel(security, target)

    def unary(self, name, message=b"", timeout=PATIENCE, **more):
        return self.channel.unary_unary("/test.Calls/" + name)(message, timeout=timeout, **more)

    def asked(self, *words):
        return self.unary("Wait", " ".join(map(str, words)).encode()) == b"yes"


def failure_of(call):
    """The error that it ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def check_unary(calls):
    for message in (b"", b"x", b"\x00\xff" * 5000, b"y" * 1000000):
        require(calls.unary("Unary", message) == message, "another message came back")
    squeezed = calls.unary("Unary", b"z" * 100000, compression=grpc.Compression.Gzip)
    require(squeezed == b"z" * 100000, "another message came back of a compressed one")


def check_many_at_once(calls):
    method = calls.channel.unary_unary("/test.Calls/Unary")
    waiting = [method.future(b"%d" % number, timeout=PATIENCE) for number in range(200)]
    require([call.result() for call in waiting] == [b"%d" % n for n in range(200)], "answers were mixed up")


def check_server_streaming(calls):
    key = next(KEYS)
    stream = calls.channel.unary_stream("/test.Calls/Download")(
        b"5", metadata=[("x-key", key)], timeout=PATIENCE
    )
    for index in range(5):
        calls.unary("Note", ("%s released" % key).encode())
        require(next(stream) == b"message %d" % index, "message %d is another" % index)
    require(list(stream) == [] and stream.code() == grpc.StatusCode.OK, "it did not end well")


def check_client_streaming(calls):
    key = next(KEYS)

    def messages():
        for index in range(5):
            require(calls.asked(key, "seen", index), "message %d did not arrive before the next" % index)
            yield b"x" * 1000

    answer = calls.channel.stream_unary("/test.Calls/Upload")(
        messages(), metadata=[("x-key", key)], timeout=PATIENCE
    )
    require(answer == b"5 5000", "it counted " + str(answer))


def check_bidirectional(calls):
    answers = []

    def messages():
        for index in range(20):
            require(len(answers) == index, "message %d was not answered before the next" % (index - 1))
            yield b"%d" % index
            deadline = time.monotonic() + PATIENCE
            while len(answers) == index and time.monotonic() < deadline:
                time.sleep(0.001)

    for answer in calls.channel.stream_stream("/test.Calls/Chat")(messages(), timeout=PATIENCE):
        answers.append(answer)
    require(answers == [b"%d" % index for index in range(20)], "it answered " + str(answers))


def check_large(calls):
    message = bytes(range(256)) * (LARGE // 256)
    require(calls.unary("Unary", message, timeout=4 * PATIENCE) == message, "another message came back")


def check_metadata(calls):
    data = bytes(range(256))
    answer, call = calls.channel.unary_unary("/test.Calls/Unary").with_call(
        b"m", metadata=[("x-text", "a, b; c"), ("x-data-bin", data)], timeout=PATIENCE
    )
    first = dict(call.initial_metadata())
    last = dict(call.trailing_metadata())
    require(first.get("x-text") == "a, b; c" and first.get("x-data-bin") == data, "initial metadata: %s" % first)
    require(last.get("x-end-text") == "a, b; c" and last.get("x-end-data-bin") == data, "trailing metadata: %s" % last)


def check_trailers_only(calls):
    error = failure_of(lambda: calls.unary("Abort"))
    require(error.code() == grpc.StatusCode.FAILED_PRECONDITION, error)
    require(error.details() == "100 % no: über", error)
    last = dict(error.trailing_metadata())
    require(last.get("x-why") == "asked" and last.get("x-why-bin") == b"\x00\xff", "trailing metadata: %s" % last)


def check_error_after_a_message(calls):
    stream = calls.channel.unary_stream("/test.Calls/AbortLate")(b"", timeout=PATIENCE)
    require(next(stream) == b"first", "another message came")
    error = failure_of(lambda: next(stream))
    require(error.code() == grpc.StatusCode.DATA_LOSS and error.details() == "after a message", error)


def check_deadline(calls):
    key = next(KEYS)
    error = failure_of(lambda: calls.unary("Slow", timeout=0.3, metadata=[("x-key", key)]))
    require(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error)
    require(calls.asked(key, "cancelled", 1), "the server was not told")
    left = float(calls.unary("Remaining", timeout=100))
    require(90 < left < 102, "the server saw a deadline of %f s" % left)


def check_deadline_within_a_stream(calls):
    key = next(KEYS)
    stream = calls.channel.unary_stream("/test.Calls/SlowStream")(b"", timeout=1, metadata=[("x-key", key)])
    require(next(stream) == b"first", "another message came")
    error = failure_of(lambda: next(stream))
    require(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error)
    require(calls.asked(key, "cancelled", 1), "the server was not told")


def check_cancel(calls):
    key = next(KEYS)
    call = calls.channel.unary_unary("/test.Calls/Slow").future(b"", metadata=[("x-key", key)], timeout=PATIENCE)
    require(calls.asked(key, "started", 1), "it never arrived")
    call.cancel()
    require(calls.asked(key, "cancelled", 1), "the server was not told")


def check_keepalive_pings(calls):
    """A connection whose pings were not answered would be given up before the deadline of the silent call."""
    options = [
        ("grpc.keepalive_time_ms", 300),
        ("grpc.keepalive_timeout_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with open_channel(calls.security, calls.target, options) as channel:
        slow = channel.unary_unary("/test.Calls/Slow")
        error = failure_of(lambda: slow(b"", timeout=2, metadata=[("x-key", next(KEYS))]))
        require(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error)
        require(channel.unary_unary("/test.Calls/Unary")(b"on", timeout=PATIENCE) == b"on", "nothing works any more")


def check_health(calls):
    health = calls.channel.unary_unary("/grpc.health.v1.Health/Check")
    require(health(b"", timeout=PATIENCE) == b"\x08\x01", "the server does not serve")
    require(health(b"\x0a\x0btest.Broken", timeout=PATIENCE) == b"\x08\x02", "the broken service serves")
    error = failure_of(lambda: health(b"\x0a\x01x", timeout=PATIENCE))
    require(error.code() == grpc.StatusCode.NOT_FOUND, error)


def check_proxy_without_backend(calls):
    """Not among those that run by default: the proxy must have nobody for this service."""
    error = failure_of(lambda: calls.channel.unary_unary("/down.Service/Call")(b"", timeout=PATIENCE))
    require(error.code() == grpc.StatusCode.UNAVAILABLE, error)
    require(error.details() == "revproxyd: refused", error)
    require("x-request-id" in dict(error.trailing_metadata()), "no request id")


def check_proxy_without_route(calls):
    error = failure_of(lambda: calls.channel.unary_unary("/no.Service/Call")(b"", timeout=PATIENCE))
    require(error.code() == grpc.StatusCode.UNIMPLEMENTED, error)
    require(error.details() == "revproxyd: no_route", error)


def check_proxy_with_a_limit(calls):
    error = failure_of(lambda: calls.channel.unary_unary("/small.Service/Call")(b"x" * 5000, timeout=PATIENCE))
    require(error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error)
    require(error.details() == "revproxyd: body_too_large", error)


CHECKS = {name[6:]: check for name, check in list(globals().items()) if name.startswith("check_")}


def main(security, target, *names):
    names = names or [name for name in CHECKS if not name.startswith("proxy_")]
    calls = Calls(security, target)
    failed = False
    for name in names:
        try:
            CHECKS[name](calls)
            print("passed", name, flush=True)
        except Exception:  # whatever it is, the other checks are of interest too
            failed = True
            print("FAILED", name, traceback.format_exc(), flush=True)
    calls.channel.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
