"""Our gRPC layer against grpcio, as client and as server."""

import socket
import threading
import time

import grpc
import pytest
from rpc_peers import MANY, UNLIMITED, Listener, Probe, Server

MIB = 1 << 20


@pytest.fixture
def client(request):
    with Server() as server, Probe("client", target=server.target) as probe:
        probe.server = server
        yield probe


@pytest.fixture
def ours():
    with Probe("server") as probe:
        with grpc.insecure_channel(probe.until("listening")["address"], options=UNLIMITED) as channel:
            probe.channel = channel
            yield probe


# ---- our client, their server ----


def test_client_all_four_kinds(client):
    end = client.call(path="/t.S/Unary", text="hello")
    assert (end["status"], end["answered"], end["messages"]) == ("0", "1", ["hello"])
    assert client.call(path="/t.S/Echo", text="x", count=5)["messages"] == ["x"] * 5
    assert client.call(path="/t.S/Count", size=1000, count=50)["messages"] == ["50000"]
    end = client.call(path="/t.S/Echo", count=0)
    assert (end["status"], end["got"]) == ("0", "0")
    assert client.call(path="/t.S/Unary", count=1, size=0)["got"] == "1"


def test_client_server_stream_and_slow_reader(client):
    client.start(path="/t.S/Pour", text="ten", id="bad")
    assert client.until("closed", id="bad")["status"] == "2"  # UNKNOWN: the handler raised
    client.start(path="/t.S/Echo", count=40, size=50000, pause=5, id="slow")
    client.start(path="/t.S/Unary", text="quick", id="quick")
    assert client.until("closed", id="quick")["status"] == "0"  # is not held up
    assert client.until("closed", id="slow", bytes="2000000")["status"] == "0"


@pytest.mark.parametrize("code", range(1, 17))
def test_client_learns_every_status(client, code):
    end = client.call(path="/t.S/Status", text=f"{code}_w%C3%A9".replace("%C3%A9", "é"))
    assert (end["status"], end["message"], end["answered"]) == (str(code), "wé", "1")
    assert end["t:x-why"] == "asked"


def test_client_unknown_method(client):
    assert client.call(path="/t.S/Nothing")["status"] == "12"


def test_client_metadata_both_ways(client):
    end = client.call(path="/t.S/Metadata", **{"m:x-one": "1", "m:x-blob-bin": "raw"})
    assert end["first"]["h:x-one"] == "1" and end["first"]["h:x-blob-bin"] == "raw"
    assert end["t:x-one"] == "1" and end["t:x-blob-bin"] == "raw"
    name, sent = client.server.seen[-1]
    assert name == "Metadata" and sent["x-blob-bin"] == b"raw" and sent["user-agent"].startswith("outrider/")
    client.say("call path=/t.S/Unary m:grpc-x=1")
    assert "cannot be the name of metadata" in client.until("error")["message"]


def test_client_deadline_is_told_to_the_server_and_kept(client):
    begin = time.monotonic()
    end = client.call(path="/t.S/Hang", timeout=150)
    assert end["status"] == "4" and 0.14 < time.monotonic() - begin < MANY
    assert client.call(path="/t.S/Unary", timeout=20000)["status"] == "0"


def test_a_reset_at_the_deadline_is_the_deadline(client):
    """grpcio resets the call at its own deadline, which is ours: many tries, as either may come first."""
    client.start(path="/t.S/Hang", timeout=60, calls=60, at_once=15, id="many")
    for _ in range(60):
        assert client.until("closed", id="many")["status"] == "4"


def test_client_cancel(client):
    end = client.call(path="/t.S/Hang", cancel=30)
    assert (end["status"], end["answered"]) == ("1", "0")
    assert client.call(path="/t.S/Unary", text="still")["messages"] == ["still"]


def test_client_half_close_and_early_answer(client):
    end = client.call(path="/t.S/Early", count=3, finish=0)
    assert (end["status"], end["messages"]) == ("0", ["early"])
    assert client.call(path="/t.S/Unary")["status"] == "0"
    client.start(path="/t.S/Echo", count=2, text="open", finish=0, cancel_got=1, id="open")
    assert client.until("message", id="open")["data"] == "open"
    assert client.until("closed", id="open")["status"] == "1"


def test_client_gzip_is_unpacked_and_bounded(client):
    end = client.call(path="/t.S/Gzip", text=str(3 * MIB))
    assert (end["status"], end["bytes"]) == ("0", str(3 * MIB))
    end = client.call(path="/t.S/Gzip", text=str(64 * MIB))
    assert end["status"] == "8" and "larger than max" in end["message"]


def test_client_message_limits(client):
    end = client.call(path="/t.S/Pour", text="1 1").get("status")
    assert end is not None
    client.start(path="/t.S/Unary", size=4 * MIB + 1, id="large")
    assert "larger than max (4194305 vs. 4194304)" in client.until("refused")["message"]
    client.until("done", id="large")
    assert client.call(path="/t.S/Unary", size=4 * MIB)["status"] == "0"


def test_client_sixteen_megabytes():
    with Server() as server, Probe("client", target=server.target, max_send=20 * MIB, max_recv=20 * MIB) as probe:
        end = probe.call(path="/t.S/Echo", count=4, size=16 * MIB)
        assert (end["status"], end["bytes"]) == ("0", str(64 * MIB))
    with Server() as server, Probe("client", target=server.target, max_send=20 * MIB) as probe:
        end = probe.call(path="/t.S/Unary", size=16 * MIB)
        assert end["status"] == "8" and "received message larger than max" in end["message"]


def test_client_thousand_calls_at_once():
    with Server(workers=32) as server, Probe("client", target=server.target, quiet=1) as probe:
        probe.start(path="/t.S/Unary", size=100, calls=5000, at_once=1000, id="many")
        done = probe.until("done", id="many")
        assert done["ok"] == "5000" and int(done["bytes"]) == 500000


def test_client_against_a_server_that_allows_few_streams():
    options = [("grpc.max_concurrent_streams", 3)]
    with Server(options=options) as server, Probe("client", target=server.target, quiet=1) as probe:
        probe.start(path="/t.S/Unary", calls=300, at_once=100, id="many")
        assert probe.until("done", id="many")["ok"] == "300"


def test_client_goaway_under_load_loses_no_call():
    """max_connection_age makes the server say GOAWAY again and again while calls are under way."""
    options = [("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 10000)]
    with Server(options=options) as server, Probe("client", target=server.target, quiet=1, backoff=50) as probe:
        probe.say("connect")
        probe.start(path="/t.S/Unary", size=200, calls=8000, at_once=50, id="load")
        done = probe.until("done", id="load")
        assert done["ok"] == "8000", [f for w, f in probe.seen if w == "closed"][:3]
        probe.wait(lambda info: int(info["connects"]) >= 2)


def test_client_server_stops_and_comes_back():
    first = Server()
    kept = socket.socket()  # the port stays ours between the two servers
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind(("127.0.0.1", first.port))
    with kept, Probe("client", target=first.target, backoff=20, backoff_max=100) as probe:
        probe.say("connect")
        probe.until("state", state="ready")
        probe.start(path="/t.S/Hang", id="lost")
        probe.wait(lambda info: info["calls"] == "1")
        first.stop()
        assert probe.until("closed", id="lost")["status"] in ("14", "1")  # grpcio cancels what it stops
        probe.until("state", state="transient failure")
        end = probe.call(path="/t.S/Unary")
        assert end["status"] == "14" and "Connection refused" in end["message"]
        probe.start(path="/t.S/Unary", wait=1, text="patient", id="patient")
        with Server(address=first.target):
            assert probe.until("closed", id="patient")["status"] == "0"
            info = probe.info()
            assert info["state"] == "ready" and info["connects"] == "2" and "refused" in info["error"]


def test_client_keepalive_notices_a_peer_that_is_gone():
    def silent(peer):
        peer.sendall(b"\0\0\0\4\0\0\0\0\0")  # settings, and then nothing
        while peer.recv(65536):
            pass

    with Listener(silent) as server, Probe("client", target=server.target, keepalive=100, keepalive_timeout=100,
                                           backoff=60000, backoff_max=60000) as probe:
        end = probe.call(path="/t.S/Unary")
        assert end["status"] == "14" and "keepalive" in end["message"]


def test_client_keepalive_against_grpcio_keeps_the_connection():
    options = [("grpc.http2.min_ping_interval_without_data_ms", 10), ("grpc.keepalive_permit_without_calls", 1)]
    with Server(options=options) as server, Probe("client", target=server.target, keepalive=50) as probe:
        assert probe.call(path="/t.S/Unary")["status"] == "0"
        end = probe.call(path="/t.S/Hang", timeout=600)
        assert end["status"] == "4" and probe.info()["connects"] == "1"


def test_client_too_many_pings_makes_it_ping_less():
    with Server() as server, Probe("client", target=server.target, keepalive=20, backoff=20) as probe:
        probe.say("connect")
        probe.wait(lambda info: int(info["connects"]) >= 2)
        assert any("too_many_pings" in f.get("why", "") for w, f in probe.seen if w == "state")


def test_client_unix_socket(tmp_path):
    with Server(address=f"unix:{tmp_path}/s"), Probe("client", target=f"unix:{tmp_path}/s") as probe:
        assert probe.call(path="/t.S/Unary", text="local")["messages"] == ["local"]
    with Probe("client", target=f"unix:{tmp_path}/none", backoff=60000, backoff_max=60000) as probe:
        end = probe.call(path="/t.S/Unary")
        assert end["status"] == "14" and "No such file" in end["message"]


def test_client_names_are_looked_up():
    with Server() as server, Probe("client", target=f"localhost:{server.port}") as probe:
        assert probe.call(path="/t.S/Unary")["status"] == "0"  # ::1 refuses, 127.0.0.1 answers
    with Probe("client", target="no.such.name.invalid:1", backoff=60000, backoff_max=60000) as probe:
        end = probe.call(path="/t.S/Unary")
        assert end["status"] == "14" and ("cannot resolve the name" in end["message"]
                                          or "its name was not looked up in time" in end["message"]), end


def test_client_connect_timeout():
    with Listener(lambda peer: peer.recv(1 << 20) and peer.recv(1)) as server:
        with Probe("client", target=server.target, connect_timeout=300, backoff=60000, backoff_max=60000) as probe:
            end = probe.call(path="/t.S/Unary")
            assert end["status"] == "14" and "did not begin HTTP/2 in time" in end["message"]


def test_client_token_stays_out_of_plain_text(tmp_path):
    (tmp_path / "token").write_text("  secret \n")
    with Probe("client", target="192.0.2.1:1", token=tmp_path / "token") as probe:
        assert "not sent" in probe.until("error")["message"]
        probe.until("eof")
    with Server() as server, Probe("client", target=server.target, token=tmp_path / "token", refresh=50) as probe:
        probe.call(path="/t.S/Unary")
        assert server.seen[-1][1]["authorization"] == "secret"
        (tmp_path / "new").write_text("fresh")
        (tmp_path / "new").rename(tmp_path / "token")
        assert probe.until("files")["change"] == "taken"
        assert probe.call(path="/t.S/Unary", wait=1)["status"] == "0"
        assert server.seen[-1][1]["authorization"] == "fresh"
        (tmp_path / "token").write_text(" \n")
        assert "the token is empty" in probe.until("files", change="refused")["why"]
        assert probe.call(path="/t.S/Unary", wait=1)["status"] == "0"
        assert server.seen[-1][1]["authorization"] == "fresh"


# ---- our server, their client ----


def test_server_all_four_kinds(ours):
    channel = ours.channel
    assert channel.unary_unary("/t.S/Echo")(b"hello") == b"hello"
    assert list(channel.stream_stream("/t.S/Echo")(iter([b"a", b"", b"c"]))) == [b"a", b"", b"c"]
    assert channel.stream_unary("/t.S/Count")(iter([bytes(1000)] * 100)) == b"100000"
    assert sum(map(len, channel.unary_stream("/t.S/Pour")(b"100 100000"))) == 10000000


def test_server_status_trailers_and_metadata(ours):
    with pytest.raises(grpc.RpcError) as failed:
        ours.channel.unary_unary("/t.S/Status")("7 nö %41\n".encode())
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED and failed.value.details() == "nö %41\n"
    assert dict(failed.value.trailing_metadata()) == {"x-why": "asked", "x-raw-bin": b"\0\1\xff"}
    call = ours.channel.unary_stream("/t.S/Metadata")(b"", metadata=(("x-a", "1"), ("x-b-bin", b"\0\xfe")))
    assert list(call) == []
    first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
    assert first == last and first["x-a"] == "1" and first["x-b-bin"] == b"\0\xfe"
    assert first["seen-user-agent"].startswith("grpc-python") and first["seen-peer"].startswith("127.0.0.1:")
    with pytest.raises(grpc.RpcError) as failed:
        ours.channel.unary_unary("/t.X/None")(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_server_deadline_and_cancel(ours):
    grpc.channel_ready_future(ours.channel).result(MANY)  # the call is there before its deadline
    with pytest.raises(grpc.RpcError) as failed:
        ours.channel.unary_unary("/t.S/Hang")(b"", timeout=0.5)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ours.until("served")["status"] in ("4", "1")
    call = ours.channel.stream_stream("/t.S/Echo")(iter([b"x"]))
    call.cancel()
    hung = ours.channel.unary_unary("/t.S/Hang").future(b"")
    ours.wait(lambda info: int(info["calls"]) >= 1)
    hung.cancel()
    ours.wait(lambda info: info["calls"] == "0")


def test_server_gzip_in(ours):
    echo = ours.channel.unary_unary("/t.S/Echo")
    assert echo(bytes(MIB), compression=grpc.Compression.Gzip) == bytes(MIB)
    with pytest.raises(grpc.RpcError) as failed:
        echo(bytes(64 * MIB), compression=grpc.Compression.Gzip)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as failed:
        echo(b"x" * 1000, compression=grpc.Compression.Deflate)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_server_message_limit_at_and_above(ours):
    echo = ours.channel.unary_unary("/t.S/Echo")
    assert len(echo(bytes(4 * MIB))) == 4 * MIB
    with pytest.raises(grpc.RpcError) as failed:
        echo(bytes(4 * MIB + 1))
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "4194305 vs. 4194304" in failed.value.details()


def test_server_sixteen_megabytes_and_thousand_streams():
    with Probe("server", max_recv=20 * MIB, max_send=20 * MIB, quiet=1) as probe:
        with grpc.insecure_channel(probe.until("listening")["address"], options=UNLIMITED) as channel:
            assert len(channel.unary_unary("/t.S/Echo")(bytes(16 * MIB))) == 16 * MIB
            hung = [channel.unary_unary("/t.S/Hang").future(b"") for _ in range(1000)]
            probe.wait(lambda info: info["calls"] == "1000")
            for call in hung:
                call.cancel()
            probe.wait(lambda info: info["calls"] == "0")
            calls = [channel.unary_unary("/t.S/Echo").future(b"%d" % i) for i in range(1000)]
            assert [call.result(MANY) for call in calls] == [b"%d" % i for i in range(1000)]


def test_server_slow_reader_of_theirs_bounds_our_memory(ours):
    """The client asks for 2 GB and reads nothing: we hold about a queue of it and go on serving."""
    call = ours.channel.unary_stream("/t.S/Pour")(b"2000 1000000")
    next(call)
    before = int(ours.info()["rss"])
    time.sleep(0.3)
    assert ours.channel.unary_unary("/t.S/Echo")(b"meanwhile") == b"meanwhile"
    assert int(ours.info()["rss"]) < before + 40 * 1024
    call.cancel()


def test_server_that_reads_slowly_bounds_what_they_send(ours):
    """The method pauses after each message: grpcio's sender waits for the window, others do not."""
    sent = []

    def messages():
        for i in range(6):
            sent.append(i)
            yield bytes(400000)

    slow = ours.channel.stream_unary("/t.S/Lazy").future(messages())
    assert ours.channel.unary_unary("/t.S/Echo")(b"meanwhile") == b"meanwhile"
    assert slow.result(MANY) == b"2400000"


def test_server_graceful_stop_lets_calls_end_and_refuses_new_ones():
    with Probe("server") as probe:
        with grpc.insecure_channel(probe.until("listening")["address"]) as channel:
            gate = threading.Event()

            def messages():
                yield b"before"
                gate.wait(MANY)
                yield b"after"

            call = channel.stream_stream("/t.S/Echo")(messages())
            assert next(call) == b"before"
            probe.say("stop ms=20000")
            with pytest.raises(grpc.RpcError) as failed:
                for _ in range(1000):
                    channel.unary_unary("/t.S/Echo")(b"new")
                    time.sleep(0.01)
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
            gate.set()
            assert list(call) == [b"after"]
            probe.until("stopped")


def test_server_stop_has_a_limit():
    with Probe("server") as probe:
        with grpc.insecure_channel(probe.until("listening")["address"]) as channel:
            hung = channel.unary_unary("/t.S/Hang").future(b"")
            probe.wait(lambda info: info["calls"] == "1")
            probe.say("stop ms=100")
            probe.until("stopped")
            assert hung.exception(MANY).code() is grpc.StatusCode.UNAVAILABLE


def test_server_connection_age_loses_no_call():
    with Probe("server", age=150, quiet=1) as probe:
        with grpc.insecure_channel(probe.until("listening")["address"]) as channel:
            echo = channel.unary_unary("/t.S/Echo")
            end = time.monotonic() + MANY
            while int(probe.info()["accepted"]) < 4:
                assert time.monotonic() < end, probe.info()
                for _ in range(20):
                    assert echo(b"x") == b"x"


def test_server_connection_limit():
    with Probe("server", connections=2) as probe:
        address = probe.until("listening")["address"]
        channels = [grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(3)]
        for channel in channels[:2]:
            assert channel.unary_unary("/t.S/Echo")(b"x") == b"x"
        with pytest.raises(grpc.RpcError) as failed:
            channels[2].unary_unary("/t.S/Echo")(b"x")
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert probe.info()["refused"] != "0" and "a connection was refused" in probe.info()["error"]
        for channel in channels:
            channel.close()


def test_server_sends_away_who_pings_too_often():
    options = [("grpc.keepalive_time_ms", 50), ("grpc.keepalive_permit_without_calls", 1),
               ("grpc.http2.max_pings_without_data", 0)]
    with Probe("server", min_ping=10000) as probe:
        with grpc.insecure_channel(probe.until("listening")["address"], options=options) as channel:
            hung = channel.unary_unary("/t.S/Hang").future(b"")
            assert hung.exception(MANY).code() is grpc.StatusCode.UNAVAILABLE
        probe.wait(lambda info: "too many pings" in info["error"] or "closed" in info["error"])


def test_server_keepalive_ends_a_client_that_is_gone():
    with Probe("server", keepalive=100, keepalive_timeout=100) as probe:
        host, _, port = probe.until("listening")["address"].rpartition(":")
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            probe.wait(lambda info: info["connections"] == "0" and "keepalive" in info["error"])


def test_both_sides_are_ours():
    with Probe("server", quiet=1) as server:
        with Probe("client", target=server.until("listening")["address"], quiet=1) as client:
            client.start(path="/t.S/Echo", count=20, size=5000, calls=300, at_once=100, id="all")
            assert client.until("done", id="all")["bytes"] == str(300 * 20 * 5000)
            client.start(path="/t.S/Pour", text="x", calls=3, id="none")
            client.until("done", id="none")
            server.say("stop ms=5000")
            server.until("stopped")
