"""Peers that break HTTP/2, gRPC or both, frame by frame: our side lives, says what is wrong, and its memory is bounded."""

import gzip
import os
import socket
import struct
import threading
import time

import grpc
import hpack
import pytest
from rpc_peers import MANY, Listener, Probe

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ONCE = {"backoff": 60000, "backoff_max": 60000}
BOUND = 60 * 1024  # kB that a peer may make us grow by, sanitizers included


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def number(value, bits, first):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def field(name, value, indexed=False):
    """A literal, without Huffman."""
    name, value = name.encode(), value if isinstance(value, bytes) else value.encode()
    return bytes([0x40 if indexed else 0]) + number(len(name), 7, 0) + name + number(len(value), 7, 0) + value


def block(*fields):
    return b"".join(field(*f) for f in fields)


REQUEST = block((":method", "POST"), (":scheme", "http"), (":path", "/t.S/Echo"), (":authority", "x"),
                ("te", "trailers"), ("content-type", "application/grpc"))
ANSWER = block((":status", "200"), ("content-type", "application/grpc"))
OK = block(("grpc-status", "0"))


def request(stream, path="/t.S/Echo", end=False, more=b""):
    return frame(HEADERS, END_HEADERS | end, stream, REQUEST.replace(b"/t.S/Echo", path.encode()) + more)


def message(payload, flag=0, length=None):
    return struct.pack(">BI", flag, len(payload) if length is None else length) + payload


# ---- our server and a hostile client ----


@pytest.fixture
def server():
    with Probe("server", quiet=1) as probe:
        probe.address = probe.until("listening")["address"]
        yield probe


class Attacker:
    def __init__(self, server, settings=b"", ack=frame(SETTINGS, ACK)):
        self.server = server
        self.rss = int(server.info()["rss"])
        host, _, port = server.address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(MANY)
        self.got = b""
        self.send(PREFACE + frame(SETTINGS, payload=settings) + ack)

    def send(self, data):
        """False: the other side has closed."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def flood(self, data, times):
        for _ in range(times):
            if not self.send(data):
                return

    def drain(self):
        """Reads in the background, so that the flood is not held up."""
        def read():
            try:
                while True:
                    data = self.socket.recv(65536)
                    self.got += data
                    if not data:
                        return
            except OSError:
                pass
        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()

    def frames(self):
        at = 0
        while at + 9 <= len(self.got):
            n = int.from_bytes(self.got[at:at + 3], "big")
            yield self.got[at + 3], int.from_bytes(self.got[at + 5:at + 9], "big"), self.got[at + 9:at + 9 + n]
            at += 9 + n

    def until(self, kind):
        end = time.monotonic() + MANY
        while True:
            for got, stream, payload in self.frames():
                if got == kind:
                    return stream, payload
            assert time.monotonic() < end, list(self.frames())[-5:]
            self.socket.settimeout(0.5)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            assert data, (kind, list(self.frames())[-5:])
            self.got += data

    def status(self):
        """The first grpc-status."""
        end = time.monotonic() + MANY
        while time.monotonic() < end:
            decoder = hpack.Decoder()
            for kind, _, payload in self.frames():
                if kind == HEADERS:
                    found = dict(decoder.decode(payload, raw=True)).get(b"grpc-status")
                    if found is not None:
                        return found
            self.got += self.socket.recv(65536)
        raise AssertionError(list(self.frames()))

    def survived(self, error=None, gone=None):
        """The server serves others, has not grown, and says why when it has closed this one."""
        with grpc.insecure_channel(self.server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            assert channel.unary_unary("/t.S/Echo")(b"others", timeout=MANY) == b"others"
        assert int(self.server.info()["rss"]) < self.rss + BOUND
        if gone:
            self.server.wait(lambda info: info["connections"] == "0" or error is not None and error in info["error"])
        if error:
            self.server.wait(lambda info: error in info["error"])
        self.socket.close()


def goaway(attacker):
    _, payload = attacker.until(GOAWAY)
    return int.from_bytes(payload[4:8], "big"), payload[8:]


@pytest.mark.parametrize("flood, times, error", [
    (frame(SETTINGS, payload=struct.pack(">HI", 4, 65535)) * 100, 200, "Flooding"),
    (frame(PING, payload=bytes(8)) * 100, 200, "Flooding"),
    (frame(PRIORITY, 0, 1, bytes(5)) * 100, 200, "too many frames that carry nothing"),
], ids=("settings", "ping", "priority"))
def test_floods_of_control_frames(server, flood, times, error):
    attacker = Attacker(server)
    attacker.drain()
    attacker.flood(flood, times)
    attacker.survived(error, gone=True)


@pytest.mark.parametrize("flood", [frame(PING, payload=bytes(8)) * 1000, frame(SETTINGS) * 1000], ids=("ping", "settings"))
def test_floods_by_a_peer_that_does_not_read(server, flood):
    attacker = Attacker(server)
    attacker.socket.settimeout(1)
    attacker.flood(flood, 1000)
    attacker.survived()


def test_empty_data_flood(server):
    attacker = Attacker(server)
    attacker.drain()
    attacker.send(request(1))
    attacker.flood(frame(DATA, 0, 1) * 100, 200)
    attacker.survived("too many frames that carry nothing", gone=True)


def test_rapid_reset(server):
    attacker = Attacker(server)
    attacker.drain()
    for stream in range(1, 40001, 2):
        if not attacker.send(request(stream) + frame(RST, 0, stream, struct.pack(">I", 8))):
            break
    attacker.survived("too many resets", gone=True)


def test_streams_beyond_the_limit_are_refused(server):
    attacker = Attacker(server, ack=b"")
    attacker.drain()
    attacker.send(b"".join(request(stream, "/t.S/Hang") for stream in range(1, 2201, 2)))
    server.wait(lambda info: info["calls"] == "1000")
    attacker.survived()


def test_continuation_flood(server):
    attacker = Attacker(server)
    attacker.drain()
    attacker.send(frame(HEADERS, 0, 1, REQUEST))
    attacker.flood(frame(CONTINUATION, 0, 1, field("x-a", "b" * 1000)) * 10, 1000)
    attacker.survived("HTTP/2", gone=True)


@pytest.mark.parametrize("more", [
    block(("x-large", "v" * 15000)) + block(*((f"x-{i}", "v") for i in range(10))),
], ids=("large",))
def test_headers_within_the_limit_pass(server, more):
    attacker = Attacker(server)
    attacker.send(frame(HEADERS, END_STREAM, 1, REQUEST) + frame(CONTINUATION, END_HEADERS, 1, more))
    stream, payload = attacker.until(HEADERS)
    assert stream == 1
    attacker.survived()


def test_metadata_beyond_the_limit_is_a_status(server):
    attacker = Attacker(server)
    attacker.send(frame(HEADERS, END_STREAM, 1, REQUEST) + b"".join(
        frame(CONTINUATION, END_HEADERS if i == 4 else 0, 1, field("x-large", "v" * 16000)) for i in range(5)))
    assert attacker.status() == b"8"
    attacker.survived()


def test_hpack_bomb(server):
    """One large entry in the table, named again and again by one byte each."""
    attacker = Attacker(server)
    attacker.drain()
    for stream in range(1, 201, 2):
        more = field("x-bomb", "v" * 3900, indexed=True) if stream == 1 else b""
        if not attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST + more + b"\xbe" * 8000)):
            break
    attacker.survived()


@pytest.mark.parametrize("attack, code", [
    (frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)) * 2, 3),
    (frame(WINDOW, 0, 0, bytes(4)), 1),
    (frame(PING, payload=bytes(7)), 6),
    (frame(SETTINGS, payload=bytes(5)), 6),
    (frame(SETTINGS, payload=struct.pack(">HI", 4, 0x80000000)), 3),
    (frame(SETTINGS, payload=struct.pack(">HI", 5, 1)), 1),
    (b"\xff\xff\xff\0\0\0\0\0\1", 6),
    (frame(DATA, 0, 1, b"x"), 1),
    (frame(DATA, 0, 0, b"x"), 1),
    (frame(CONTINUATION, END_HEADERS, 1, REQUEST), 1),
    (frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + REQUEST), 1),
    (request(2), 1),
    (frame(HEADERS, END_HEADERS, 1, b"\x80"), 9),
    (frame(HEADERS, 0, 1, REQUEST) + frame(PING, payload=bytes(8)), 1),
    (frame(HEADERS, END_HEADERS | 8, 1, b"\xff" + REQUEST), 1),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 10, 6),
], ids=map(str, range(99)))
def test_what_breaks_the_connection(server, attack, code):
    attacker = Attacker(server)
    attacker.send(attack)
    got, _ = goaway(attacker)
    assert got == code
    attacker.survived("HTTP/2", gone=True)


def test_other_bytes_than_a_preface(server):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", PREFACE[:10], b"\0" * 100):
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            peer.settimeout(MANY)
            try:
                while peer.recv(65536):
                    pass
            except OSError:
                pass
    server.wait(lambda info: info["connections"] == "0")


@pytest.mark.parametrize("attack, status", [
    (request(1) + frame(DATA, END_STREAM, 1, message(b"x", 1)), b"13"),  # compressed, without grpc-encoding
    (request(1) + frame(DATA, END_STREAM, 1, message(b"x", 2)), b"13"),
    (request(1) + frame(DATA, END_STREAM, 1, message(b"x", length=5)), b"13"),
    (request(1) + frame(DATA, END_STREAM, 1, b"\0\0"), b"13"),
    (request(1) + frame(DATA, 0, 1, message(b"x", length=0xffffffff)), b"8"),
    (request(1, more=field("grpc-encoding", "gzip")) + frame(DATA, 0, 1, message(b"no gzip", 1)), b"13"),
    (request(1, more=field("grpc-encoding", "gzip")) + frame(DATA, 0, 1, message(b"", 1)), b"13"),
    (request(1, more=field("grpc-encoding", "gzip"))
     + frame(DATA, 0, 1, message(gzip.compress(b"x" * 1000)[:-5], 1)), b"13"),
    (request(1, more=field("grpc-encoding", "br")) + frame(DATA, 0, 1, message(b"x", 1)), b"12"),
    (request(1, more=field("grpc-timeout", "soon")), b"13"),
    (request(1, more=field("grpc-timeout", "999999999S")), b"13"),
    (request(1, more=field("x-a-bin", "?")), b"13"),
    (request(1).replace(b"application/grpc", b"application/html"), b"13"),
    (request(1).replace(b"application/grpc", b"application/grpq"), b"13"),
    (request(1, "/t.S/Hang", more=field("grpc-timeout", "1n")), b"4"),
], ids=map(str, range(99)))
def test_what_ends_one_call(server, attack, status):
    attacker = Attacker(server)
    attacker.send(attack)
    assert attacker.status() == status
    attacker.send(request(3, end=True))
    attacker.survived()


def test_data_after_the_end(server):
    attacker = Attacker(server)
    attacker.send(request(1, end=True) + frame(DATA, 0, 1, message(b"x")))
    attacker.drain()
    attacker.survived()


def test_gzip_bomb(server):
    bomb = gzip.compress(bytes(100 << 20))
    attacker = Attacker(server)
    attacker.drain()
    for stream in range(1, 21, 2):
        attacker.send(request(stream, more=field("grpc-encoding", "gzip")))
        body = message(bomb, 1)
        for at in range(0, len(body), 16384):
            attacker.send(frame(DATA, 0, stream, body[at:at + 16384]))
            if at > 49152:
                break
    attacker.survived()


def test_announced_and_never_sent(server):
    """1,000 calls that announce 4 MiB each take what they sent, no more."""
    attacker = Attacker(server)
    attacker.drain()
    attacker.send(b"".join(request(s) + frame(DATA, 0, s, message(b"", length=4 << 20)) for s in range(1, 1601, 2)))
    server.wait(lambda info: info["calls"] == "800")
    attacker.survived()


def test_a_window_that_stays_closed(server):
    attacker = Attacker(server, settings=struct.pack(">HI", 4, 0))
    attacker.drain()
    for stream in range(1, 13, 2):
        attacker.send(request(stream, "/t.S/Pour") + frame(DATA, 0, stream, message(b"1000 1000000")))
    server.wait(lambda info: info["calls"] == "6")
    attacker.survived()


def test_what_waits_for_one_connection_is_bounded():
    with Probe("server", sent=4000000, quiet=1) as probe:
        probe.address = probe.until("listening")["address"]
        attacker = Attacker(probe, settings=struct.pack(">HI", 4, 0))
        attacker.drain()
        for stream in range(1, 401, 2):
            attacker.send(request(stream, "/t.S/Pour") + frame(DATA, 0, stream, message(b"1000000 10000")))
        probe.wait(lambda info: info["calls"] == "200")
        attacker.survived()


def test_messages_beyond_what_one_connection_may_hold():
    with Probe("server", held=1000000, max_recv=500000, quiet=1) as probe:
        probe.address = probe.until("listening")["address"]
        attacker = Attacker(probe)
        attacker.drain()
        part = message(b"x" * 16000, length=400000)
        for stream in range(1, 401, 2):
            attacker.send(request(stream))
            attacker.send(frame(DATA, 0, stream, part[:16000]))
            attacker.send(frame(DATA, 0, stream, b"y" * 16000))
        probe.wait(lambda info: 0 < int(info["calls"]) < 100)
        attacker.survived()


# ---- our client and a hostile server ----


def answering(*frames, then=None):
    """A server that says this to the first call."""
    def serve(peer):
        peer.sendall(frame(SETTINGS))
        got = b""
        while b"/t.S/" not in got and b"\x1f\x52" not in got and HEADERS not in kinds(got):
            data = peer.recv(65536)
            if not data:
                return
            got += data
        peer.sendall(b"".join(frames))
        if then == "close":
            return
        while peer.recv(65536):
            pass
    return Listener(serve)


def kinds(data):
    at, found = len(PREFACE), set()
    while at + 9 <= len(data):
        found.add(data[at + 3])
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return found


def head(*fields, end=False, stream=1):
    return frame(HEADERS, END_HEADERS | end, stream, block(*fields))


START = frame(HEADERS, END_HEADERS, 1, ANSWER)
STATUS = frame(HEADERS, END_HEADERS | END_STREAM, 1, OK)


@pytest.mark.parametrize("frames, status, said", [
    ([START, frame(DATA, END_STREAM, 1, message(b"x"))], 13, "without a status"),
    ([START, frame(DATA, 0, 1, message(b"x", length=9)), STATUS], 13, "ended within a message"),
    ([START, frame(DATA, 0, 1, message(b"x", length=0xffffffff))], 8, "larger than max (4294967295 vs. 4194304)"),
    ([START, frame(DATA, 0, 1, message(b"x", 1))], 13, "without a grpc-encoding"),
    ([START, frame(DATA, 0, 1, message(b"x", 7))], 13, "flags that are not defined"),
    ([head((":status", "200"), ("content-type", "text/html"))], 2, "not application/grpc"),
    ([head((":status", "200"))], 2, "not application/grpc"),
    ([head((":status", "503"), ("content-type", "text/html"), end=True)], 14, "HTTP status 503"),
    ([head((":status", "401"), ("content-type", "text/html"))], 16, "HTTP status 401"),
    ([head((":status", "404"), end=True)], 12, "HTTP status 404"),
    ([head((":status", "403"), end=True)], 7, "HTTP status 403"),
    ([head((":status", "302"), ("location", "http://x"), end=True)], 2, "HTTP status 302"),
    ([head((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "16"),
           ("grpc-message", "a%20b%zz"), end=True)], 16, "a b%zz"),
    ([head((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "99"), end=True)], 2, ""),
    ([head((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "-1"), end=True)], 2, ""),
    ([head((":status", "200"), ("content-type", "application/grpc"), ("x-a-bin", "?"))], 13, "x-a-bin"),
    ([head((":status", "100")), head((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "5"),
                                     end=True)], 5, ""),
    ([frame(RST, 0, 1, struct.pack(">I", 8))], 1, "CANCEL"),
    ([frame(RST, 0, 1, struct.pack(">I", 11))], 8, "ENHANCE_YOUR_CALM"),
    ([frame(RST, 0, 1, struct.pack(">I", 12))], 7, "INADEQUATE_SECURITY"),
    ([frame(RST, 0, 1, struct.pack(">I", 2))], 13, "INTERNAL_ERROR"),
    ([frame(RST, 0, 1, struct.pack(">I", 0xdead))], 2, "an unknown error"),
    ([START, frame(RST, 0, 1, struct.pack(">I", 7))], 14, "REFUSED_STREAM"),
    ([frame(DATA, 0, 1, message(b"x"))], 14, "PROTOCOL_ERROR"),
    ([head(("x-no-status", "1"))], 13, "PROTOCOL_ERROR"),
    ([head((":status", "abc"))], 13, "PROTOCOL_ERROR"),
    ([START, frame(DATA, 0, 1, message(b"x")), frame(HEADERS, END_HEADERS, 1, OK)], 13, "PROTOCOL_ERROR"),
    ([frame(SETTINGS, ACK), frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + REQUEST)], 14, "HTTP/2"),
    ([frame(SETTINGS, payload=bytes(5))], 14, "FRAME_SIZE_ERROR"),
    ([frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)) * 2], 14, "FLOW_CONTROL_ERROR"),
    ([frame(GOAWAY, payload=struct.pack(">II", 1, 2) + b"going \x1b[31mdown")], 14, "INTERNAL_ERROR going"),
    ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], 14, "HTTP/2"),
    ([frame(PING, payload=bytes(8)) * 5000], 14, "Flooding"),
    ([frame(SETTINGS) * 5000], 14, "Flooding"),
    ([START, frame(DATA, 0, 1) * 5000], 14, "too many frames that carry nothing"),
    ([frame(HEADERS, 0, 1, ANSWER), *[frame(CONTINUATION, 0, 1, field("x-a", "b" * 1000))] * 100], 14, "HTTP/2"),
    ([frame(HEADERS, 0, 1, ANSWER), *[frame(CONTINUATION, 0, 1, field("x-a", "b" * 16000))] * 5,
      frame(CONTINUATION, END_HEADERS, 1)], 8, "more metadata than is allowed"),
], ids=map(str, range(99)))
def test_answers(frames, status, said):
    then = "close" if status == 14 and frames[0][3] == GOAWAY else None
    with answering(*frames, then=then) as server, Probe("client", target=server.target, **ONCE) as probe:
        end = probe.call(path="/t.S/Unary", timeout=8000)
        assert end["status"] == str(status), end
        assert said in end["message"] and "\x1b" not in end["message"], end
        assert int(probe.info()["rss"]) < 200 * 1024


def test_a_call_that_was_refused_is_begun_anew():
    """REFUSED_STREAM and GOAWAY below its number say that the server never began it."""
    def serve(peer):
        peer.sendall(frame(SETTINGS))
        got = b""
        for attempt in range(3):
            stream = 1 + 2 * attempt
            while got.count(b"unused") < 0 or not has_stream(got, stream):
                got += peer.recv(65536)
            if attempt < 2:
                peer.sendall(frame(RST, 0, stream, struct.pack(">I", 7)))
        peer.sendall(frame(HEADERS, END_HEADERS, 5, ANSWER) + frame(DATA, 0, 5, message(b"third"))
                     + frame(HEADERS, END_HEADERS | END_STREAM, 5, OK))
        peer.recv(65536)

    with Listener(serve) as server, Probe("client", target=server.target, **ONCE) as probe:
        end = probe.call(path="/t.S/Unary", text="again", timeout=8000)
        assert (end["status"], end["messages"]) == ("0", ["third"])


def test_a_call_that_waits_for_a_stream_goes_to_the_next_connection():
    """The only stream that the server allows is taken when it says that it takes no more calls."""
    going, done = threading.Event(), threading.Event()

    def serve(peer):
        first = not going.is_set()
        peer.sendall(frame(SETTINGS, payload=struct.pack(">HI", 3, 1)))
        got = b""
        while not has_stream(got, 1):
            got += peer.recv(65536)
        if first:
            going.wait(MANY)
            peer.sendall(frame(GOAWAY, payload=struct.pack(">II", 1, 0)))
            done.wait(MANY)
        else:
            peer.sendall(START + frame(DATA, 0, 1, message(b"second")) + STATUS)
            peer.recv(65536)

    with Listener(serve) as server, Probe("client", target=server.target, backoff=20, backoff_max=20) as probe:
        probe.start(path="/t.S/Hang", id="first")
        probe.wait(lambda info: info["calls"] == "1")
        probe.start(path="/t.S/Unary", id="second", timeout=20000)
        probe.wait(lambda info: int(info["calls"]) + int(info["waiting"]) == 2)
        going.set()
        assert probe.until("closed", id="second")["status"] == "0"
        done.set()
        assert probe.until("closed", id="first")["status"] == "14"


def test_calls_that_no_stream_is_left_for_leave_nothing_behind(monkeypatch):
    """The server never allows a stream: who tries again and again does not grow."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4")
    def serve(peer):
        peer.sendall(frame(SETTINGS, payload=struct.pack(">HI", 3, 0)))
        while peer.recv(65536):
            pass

    with Listener(serve) as server, Probe("client", target=server.target, quiet=1, **ONCE) as probe:
        probe.say("connect")
        probe.until("state", state="ready")
        more = {f"m:x-{i}": "v" * 900 for i in range(8)}
        probe.start(path="/t.S/Unary", calls=1000, at_once=1000, timeout=1, id="warm", **more)
        probe.until("done", id="warm")
        before = int(probe.info()["rss"])
        probe.start(path="/t.S/Unary", calls=8000, at_once=1000, timeout=1, id="all", **more)
        assert probe.until("done", id="all")["ok"] == "0"
        assert int(probe.info()["rss"]) < before + 30 * 1024


def has_stream(data, stream):
    at = len(PREFACE)
    while at + 9 <= len(data):
        if data[at + 3] == HEADERS and int.from_bytes(data[at + 5:at + 9], "big") == stream:
            return True
        at += 9 + int.from_bytes(data[at:at + 3], "big")
    return False


def test_a_reset_just_before_the_deadline_is_the_deadline():
    """A server's clock may be a little ahead: it says CANCEL for what was no cancel."""
    def serve(peer):
        peer.sendall(frame(SETTINGS))
        got = b""
        while HEADERS not in kinds(got):
            got += peer.recv(65536)
        time.sleep(0.195)
        peer.sendall(frame(RST, 0, 1, struct.pack(">I", 8)))
        peer.recv(65536)

    with Listener(serve) as server, Probe("client", target=server.target, **ONCE) as probe:
        assert probe.call(path="/t.S/Unary", timeout=200)["status"] == "4"


@pytest.mark.parametrize("settings", [struct.pack(">HI", 3, 0), struct.pack(">HI", 4, 0)])
def test_a_server_that_lets_nothing_in(settings):
    """No stream is allowed, or no byte: the call ends at its deadline, and the channel takes others."""
    def serve(peer):
        peer.sendall(frame(SETTINGS, payload=settings))
        while peer.recv(65536):
            pass

    with Listener(serve) as server, Probe("client", target=server.target, **ONCE) as probe:
        end = probe.call(path="/t.S/Echo", timeout=100, size=1000000, count=5)
        assert end["status"] == "4"
        probe.start(path="/t.S/Unary", size=1000, calls=500, at_once=500, timeout=200, id="all")
        assert probe.until("done", id="all")["ok"] == "0"
        assert int(probe.info()["rss"]) < 200 * 1024


def test_gzip_bomb_of_a_server():
    bomb = message(gzip.compress(bytes(40 << 20)), 1)
    start = head((":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"))
    data = b"".join(frame(DATA, 0, 1, bomb[at:at + 16000]) for at in range(0, min(len(bomb), 64000), 16000))
    with answering(start, data) as server, Probe("client", target=server.target, **ONCE) as probe:
        end = probe.call(path="/t.S/Unary", timeout=5000)
        assert end["status"] == "8" if len(bomb) < 64000 else "4"


def test_a_server_that_accepts_and_closes_is_not_asked_without_end():
    def serve(peer):
        peer.sendall(frame(SETTINGS))
        peer.recv(65536)

    with Listener(serve) as server, Probe("client", target=server.target, backoff=30, backoff_max=60) as probe:
        begin = time.monotonic()
        probe.say("connect")
        while server.accepted < 5:
            assert time.monotonic() < begin + MANY
            time.sleep(0.01)
        assert time.monotonic() > begin + 0.15  # after four waits: of 30 ms and of 60 ms


def test_unsolicited_answers_are_ignored_or_end_the_connection():
    with answering(head((":status", "200"), ("content-type", "application/grpc"), stream=7), START, STATUS) as server:
        with Probe("client", target=server.target, **ONCE) as probe:
            assert probe.call(path="/t.S/Unary", timeout=5000)["status"] in ("0", "14")
