"""Our gRPC client behind a proxy: http and https, its answers, whom it is not used for."""

import pytest
from rpc_peers import Authority, Listener, Probe, Proxy, Server, basic, server_credentials

ONCE = {"backoff": 60000, "backoff_max": 60000}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    ca = Authority(tmp_path_factory.mktemp("pki"))
    ca.server = ca.issue("server")
    ca.far = ca.issue("far", "DNS:far.test")
    return ca


def through(server, proxy, secure=False, **options):
    scheme = "https" if secure else "http"
    return Probe("client", target="far.test:443", proxy=f"{scheme}://localhost:{proxy.port}", **{**ONCE, **options})


def test_http_proxy_plain_and_tls(pki):
    with Server() as server, Proxy(server) as proxy, through(server, proxy) as probe:
        assert probe.call(path="/t.S/Echo", count=3, size=100000)["bytes"] == "300000"
        assert proxy.requests[0].startswith("CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n")
    with Server(server_credentials(pki, *pki.far)) as server, Proxy(server) as proxy:
        with through(server, proxy, tls=1, ca=pki.ca) as probe:
            assert probe.call(path="/t.S/Unary", text="far")["messages"] == ["far"]


def test_https_proxy_with_tls_inside(pki):
    with Server(server_credentials(pki, *pki.far)) as server, Proxy(server, cert=pki.server) as proxy:
        with through(server, proxy, secure=True, tls=1, ca=pki.ca, proxy_tls=1, proxy_ca=pki.ca) as probe:
            assert probe.call(path="/t.S/Unary", size=2000000)["bytes"] == "2000000"
    with Server() as server, Proxy(server, cert=pki.far) as proxy:
        with through(server, proxy, secure=True, proxy_tls=1, proxy_ca=pki.ca) as probe:
            end = probe.call(path="/t.S/Unary")
            assert "proxy localhost" in end["message"] and "mismatch" in end["message"].lower()
        with through(server, proxy, secure=True, proxy_tls=1, proxy_ca=pki.ca, proxy_name="far.test") as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"


def test_credentials(pki):
    with Server() as server, Proxy(server, wants=basic("me", "p%w:x")) as proxy:
        with through(server, proxy, proxy_auth="basic", proxy_user="me", proxy_password="p%w:x") as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"
        with through(server, proxy, proxy_auth="basic", proxy_user="me", proxy_password="no") as probe:
            end = probe.call(path="/t.S/Unary")
            assert "407" in end["message"] and "credentials" in end["message"] and "no" != end["message"]
    with Server() as server, Proxy(server, wants="Bearer abc") as proxy:
        with through(server, proxy, proxy_auth="bearer", proxy_token="abc") as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"
    with Server() as server, Proxy(server, wants=basic("u r", "p")) as proxy:
        with Probe("client", target="far.test:443", proxy=f"http://u%20r:p@localhost:{proxy.port}", **ONCE) as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"


@pytest.mark.parametrize("answer, said", [
    (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy answered 403 Forbidden"),
    (b"HTTP/1.1 502 Bad\x1b[2J Gateway\r\n\r\n", "the proxy answered 502"),
    (b"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n\r\n", "the proxy answered 301"),
    (b"SSH-2.0-OpenSSH\r\n", "not HTTP/1"),
    (b"\x16\x03\x01\x00\x00", "not HTTP/1"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP/1"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, "more than 16384 bytes"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "more than 16384 bytes"),
    (b"HTTP/1.1 200 OK\r\n\r\n no HTTP/2 here, only noise that goes on", "HTTP/2"),
])
def test_answers_that_are_no_tunnel(answer, said):
    with Proxy(answer=answer) as proxy, through(None, proxy, connect_timeout=4000) as probe:
        end = probe.call(path="/t.S/Unary")
        assert end["status"] == "14" and said in end["message"], end
        assert "\x1b" not in end["message"]


def test_a_proxy_that_hangs_or_goes():
    with Listener(lambda peer: peer.recv(1 << 20) and peer.recv(1)) as proxy:
        with through(None, proxy, proxy_timeout=100) as probe:
            end = probe.call(path="/t.S/Unary")
            assert "did not answer in time" in end["message"] or "the proxy did not answer" in end["message"]
    with Listener(lambda peer: peer.recv(1 << 20)) as proxy, through(None, proxy) as probe:
        assert "closed the connection" in probe.call(path="/t.S/Unary")["message"]
    gone = Listener(lambda peer: None)
    gone.close()
    with through(None, gone) as probe:
        assert "cannot connect to proxy" in probe.call(path="/t.S/Unary")["message"]


def test_an_interim_answer_is_no_answer():
    with Server() as server, Proxy(server, before=b"HTTP/1.1 100 Continue\r\n\r\n") as proxy:
        with through(server, proxy) as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"


def test_what_follows_the_answer_at_once_belongs_to_the_server():
    """The server's settings come in one segment with the proxy's answer."""
    settings = b"\0\0\0\4\0\0\0\0\0"
    with Proxy(answer=b"HTTP/1.1 200 OK\r\n\r\n" + settings) as proxy, through(None, proxy) as probe:
        probe.say("connect")
        probe.until("state", state="ready")


def test_no_proxy():
    with Server() as server, Proxy() as proxy:
        for target in (server.target, f"localhost:{server.port}"):  # the loopback is never reached by one
            with Probe("client", target=target, proxy=f"http://127.0.0.1:{proxy.port}", **ONCE) as probe:
                assert probe.call(path="/t.S/Unary")["status"] == "0"
        with Probe("client", target="none.invalid:1", proxy=f"http://127.0.0.1:{proxy.port}", no_proxy="x, .invalid",
                   **ONCE) as probe:
            assert "cannot resolve" in probe.call(path="/t.S/Unary")["message"]
        assert proxy.requests == []


@pytest.mark.parametrize("options, said", [
    ({"proxy": "ftp://x:1"}, "neither http:// nor https://"),
    ({"proxy": "http://x:1/path"}, "more than a host and a port"),
    ({"proxy": "https://x:1"}, "needs TLS settings"),
    ({"proxy": "http://x:1", "proxy_auth": "basic"}, "needs a username"),
    ({"proxy": "http://x:1", "proxy_auth": "bearer"}, "needs a token"),
])
def test_settings_that_are_no_good(options, said):
    with Probe("client", target="far.test:443", **options) as probe:
        assert said in probe.until("error")["message"]
        probe.until("eof")
