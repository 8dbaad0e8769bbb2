"""The status page, /metrics and the admin socket at, above and after each of their limits."""

import contextlib
import json
import socket
import time

import pytest

from lab import raw, until

LIMIT = 256  # OTR_LIMIT_HTTP_CONNECTIONS
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HALF = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: "
KEPT = b"GET /api/v1/events?last=1 HTTP/1.1\r\nHost: localhost\r\n\r\n"


def dial(agent, unix):
    if unix:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(agent.socket))
        return client
    return socket.create_connection(("127.0.0.1", agent.port))


@contextlib.contextmanager
def held(agent, n, data=b"", unix=False, small=False):
    """`n` connections that each said `data` and nothing more."""
    clients = []
    for _ in range(n):
        client = dial(agent, unix)
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.sendall(data)
        clients.append(client)
    yield clients
    for client in clients:
        client.close()


def asks(agent, unix=False, seconds=3.0):
    """The first line of an answer and how long it took."""
    begin = time.monotonic()
    path = b"/api/v1/status" if unix else b"/metrics"
    answer = raw(GET.replace(b"/metrics", path), port=agent.port, unix=agent.socket if unix else None, timeout=seconds)
    return answer.split(b"\r\n")[0], time.monotonic() - begin


def closed(clients):
    n = 0
    for client in clients:
        client.setblocking(False)
        try:
            while client.recv(65536):
                pass
            n += 1
        except BlockingIOError:
            pass
        except OSError:
            n += 1
    return n


@pytest.mark.parametrize("unix", [False, True], ids=["page", "admin"])
@pytest.mark.parametrize("data", [b"", HALF, KEPT], ids=["idle", "half", "kept"])
def test_at_and_above_the_limit_a_new_peer_is_served(lab, data, unix):
    agent = lab.agent()
    with held(agent, LIMIT - 1, data, unix):
        assert asks(agent, unix)[0] == b"HTTP/1.1 200 OK"
        with held(agent, 40, data, unix):
            for _ in range(5):
                line, took = asks(agent, unix)
                assert line == b"HTTP/1.1 200 OK" and took < 5
    assert asks(agent, unix)[0] == b"HTTP/1.1 200 OK"
    assert agent.cli("status")[0] in (0, 1)


@pytest.mark.parametrize("unix", [False, True], ids=["page", "admin"])
def test_connections_that_time_out_together_leave_both_at_work(lab, unix):
    agent = lab.agent()
    before = agent.descriptors()
    with held(agent, LIMIT, b"", unix) as clients:
        until(lambda: closed(clients) == LIMIT, "all are closed", 25, step=0.5)
        for _ in range(3):
            assert asks(agent, unix)[0] == b"HTTP/1.1 200 OK"
        # What the agent opens for itself meanwhile is a few.
        until(lambda: agent.descriptors() <= before + 16, "their descriptors are back")
    assert agent.cli("status")[0] in (0, 1)


def test_trickling_does_not_stretch_the_time_of_a_request(lab):
    agent = lab.agent()
    with held(agent, 50, HALF) as clients:
        begin = time.monotonic()
        while closed(clients) < 50 and time.monotonic() - begin < 30:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(b"a")
            assert asks(agent)[0] == b"HTTP/1.1 200 OK"
            time.sleep(1)
        assert 9 <= time.monotonic() - begin < 25


def test_answers_that_nobody_takes_are_cut(lab):
    """Over the unix socket: of TCP the kernel takes megabytes before answers are stuck, see test_conns.c."""
    unix, n = True, 60
    agent = lab.agent()
    before = agent.descriptors()
    with held(agent, n, unix=unix, small=True) as clients:
        for client in clients:
            client.setblocking(False)

        def stuck():
            """More requests, until the agent reads no more of them as nobody takes its answers."""
            took = 0
            for client in clients:
                with contextlib.suppress(OSError):
                    took += client.send(KEPT.replace(b"events?last=1", b"status") * 50)
            return took == 0

        until(stuck, "all are stuck", 25, step=0.1)
        cpu = agent.cpu()
        time.sleep(2)
        assert agent.cpu() - cpu < 0.3, "waiting costs nothing"
        assert asks(agent, unix)[0] == b"HTTP/1.1 200 OK"
        assert agent.cli("status")[0] in (0, 1)
        # What the kernel holds for them stays unread, as reading would be progress.
        until(lambda: agent.descriptors() <= before + 16, "all are cut", 45, step=0.5)
        assert closed(clients) == n
    assert asks(agent, unix)[0] == b"HTTP/1.1 200 OK"


def test_streams_have_their_own_limit_and_leave(lab):
    agent = lab.agent()
    with held(agent, 70, KEPT.replace(b"events?last=1", b"events/stream")) as clients:
        lines = [c.recv(15) for c in clients]
        assert lines.count(b"HTTP/1.1 200 OK") == 64 and lines.count(b"HTTP/1.1 429 To") == 6
        assert asks(agent)[0] == b"HTTP/1.1 200 OK"
        with held(agent, 1, KEPT) as idle:  # by the time that this one was closed, they have been quiet for longer
            until(lambda: closed(idle) == 1, "an idle connection is closed", 30, step=0.1)
        quiet = [c for c, line in zip(clients, lines) if line.endswith(b"OK")]
        assert closed(quiet) == 0
    until(lambda: b" 200 " in raw(b"HEAD /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                                  agent.port), "streams are free again")


def test_the_page_leaves_the_admin_socket_its_connections(lab):
    agent = lab.agent()
    with held(agent, LIMIT, KEPT), held(agent, LIMIT, HALF):
        begin = time.monotonic()
        code, said = agent.cli("status", "--json")
        assert code in (0, 1) and json.loads(said)["pid"] == agent.process.pid
        assert time.monotonic() - begin < 15


@pytest.mark.parametrize("request_line, headers, want", [
    ("GET /metrics HTTP/1.1", ["Host: localhost"], 200),
    ("GET http://localhost:9180/metrics HTTP/1.1", ["Host: localhost"], 200),
    ("GET http://evil.example/metrics HTTP/1.1", ["Host: localhost"], 403),
    ("GET http://x@localhost/metrics HTTP/1.1", ["Host: localhost"], 400),
    ("GET /metrics HTTP/1.1", ["Host: evil.example"], 403),
    ("GET /metrics HTTP/1.1", ["Host: evil@localhost"], 403),
    ("GET /metrics HTTP/1.1", ["Host: localhost", "Host: evil.example"], 400),
    ("GET /metrics HTTP/1.1", ["Host: evil.example", "Host: localhost"], 400),
    ("GET /metrics HTTP/1.1", [], 400),
    ("GET /metrics HTTP/1.0", [], 403),
    ("GET /metrics%00 HTTP/1.1", ["Host: localhost"], 400),
    ("GET /../../etc/passwd HTTP/1.1", ["Host: localhost"], 404),
    ("OPTIONS /metrics HTTP/1.1", ["Host: localhost"], 405),
    ("POST /metrics HTTP/1.1", ["Host: localhost", "Content-Length: 0", "Transfer-Encoding: chunked"], 400),
    ("POST /api/v1/reload HTTP/1.1", ["Host: localhost", "Content-Length: 0"], 404),
])
def test_how_a_request_names_its_host(lab, request_line, headers, want):
    agent = lab.agent()
    answer = raw("\r\n".join([request_line, *headers, "Connection: close", "", ""]), agent.port)
    assert int(answer.split(b" ")[1]) == want
