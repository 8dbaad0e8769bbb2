"""TLS of our gRPC layer: who is trusted, what is said when somebody is not, files that change while it runs."""

import shutil
import ssl

import grpc
import pytest
from rpc_peers import UNLIMITED, Authority, Listener, Probe, Server, server_credentials

ONCE = {"backoff": 60000, "backoff_max": 60000}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    ca, other = Authority(folder), Authority(folder, "other")
    ca.server, ca.client = ca.issue("server"), ca.issue("client", "DNS:client")
    ca.other, ca.wrong = other, ca.issue("wrong", "DNS:elsewhere.example")
    ca.expired = ca.issue("expired", days=-1)
    ca.stranger = other.issue("stranger", "DNS:stranger")
    return ca


def client(server, **options):
    return Probe("client", target=f"localhost:{server.port}", tls=1, **options)


def failure(server, **options):
    with client(server, **{**ONCE, **options}) as probe:
        end = probe.call(path="/t.S/Unary")
        assert end["status"] == "14", end
        return end["message"]


def test_client_checks_chain_and_name(pki):
    with Server(server_credentials(pki, *pki.server)) as server:
        with client(server, ca=pki.ca) as probe:
            assert probe.call(path="/t.S/Unary", size=3000000)["bytes"] == "3000000"
            assert probe.info()["tls"] == "TLSv1.3"
        with Probe("client", target=f"127.0.0.1:{server.port}", tls=1, ca=pki.ca) as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"  # an address in the certificate
        assert "unable to get local issuer certificate" in failure(server, ca=pki.other.ca)
        assert "certificate" in failure(server)  # the system's roots
        with client(server, skip=1) as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"


def test_client_server_name(pki):
    with Server(server_credentials(pki, *pki.wrong)) as server:
        assert "hostname mismatch" in failure(server, ca=pki.ca).lower()
        with client(server, ca=pki.ca, name="elsewhere.example") as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"
        assert "hostname mismatch" in failure(server, ca=pki.ca, name="other.example").lower()


def test_client_expired_certificate(pki):
    with Server(server_credentials(pki, *pki.expired)) as server:
        assert "certificate has expired" in failure(server, ca=pki.ca)


def test_client_plain_and_tls_do_not_meet(pki):
    with Server() as server:
        assert "TLS" in failure(server, ca=pki.ca)
    with Server(server_credentials(pki, *pki.server)) as server:
        with Probe("client", target=server.target, connect_timeout=3000, **ONCE) as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "14"


def context(pki, **options):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*pki.server)
    for key, value in options.items():
        setattr(made, key, value)
    return made


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_client_wants_http2_and_tls_1_2(pki):
    no_alpn = context(pki)
    with Listener(lambda peer: peer.recv(1), no_alpn) as server:
        assert "does not offer HTTP/2" in failure(server, ca=pki.ca)
    old = context(pki, maximum_version=ssl.TLSVersion.TLSv1_1, minimum_version=ssl.TLSVersion.TLSv1)
    old.set_alpn_protocols(["h2"])
    old.set_ciphers("ALL:@SECLEVEL=0")
    with Listener(lambda peer: peer.recv(1), old) as server:
        assert "TLS handshake" in failure(server, ca=pki.ca)


def test_who_checks_nothing_is_not_told_of_a_certificate(pki):
    """The server wants a certificate of the client and ends the handshake: its own is not what is wrong."""
    strict = context(pki, verify_mode=ssl.CERT_REQUIRED, maximum_version=ssl.TLSVersion.TLSv1_2)
    strict.load_verify_locations(pki.ca)
    strict.set_alpn_protocols(["h2"])
    with Listener(lambda peer: peer.recv(1), strict) as server:
        said = failure(server, skip=1)
        assert "TLS handshake" in said and "refused" not in said


def test_client_sends_sni(pki):
    seen = []
    asked = context(pki)
    asked.set_alpn_protocols(["h2"])
    asked.sni_callback = lambda s, name, c: seen.append(name)
    with Listener(lambda peer: peer.recv(1), asked) as server:
        failure(server, ca=pki.ca)
        failure(server, skip=1, name="named.example")
        failure(server, skip=1, name="127.0.0.9")
    assert seen == ["localhost", "named.example", None]


def test_mutual_tls(pki):
    with Server(server_credentials(pki, *pki.server, client=True)) as server:
        cert, key = pki.client
        with client(server, ca=pki.ca, cert=cert, key=key) as probe:
            assert probe.call(path="/t.S/Unary")["status"] == "0"
        for _ in range(12):  # how the refusal shows depends on timing; it never ends the process
            assert failure(server, ca=pki.ca)
        stranger = pki.stranger
        assert failure(server, ca=pki.ca, cert=stranger[0], key=stranger[1])


@pytest.mark.parametrize("options, said", [
    ({"ca": "/nowhere/ca.pem"}, "/nowhere/ca.pem"),
    ({"cert": "client.pem"}, "no key is set"),
    ({"key": "client.pem"}, "no certificate is set"),
    ({"ca": "junk"}, "holds no certificate in PEM form"),
    ({"cert": "client.pem", "key": "other.key"}, "the key is not that of the certificate"),
    ({"cert": "client.pem", "key": "junk"}, "holds no private key"),
])
def test_files_that_are_no_good_are_named(pki, tmp_path, options, said):
    shutil.copy(pki.client[0], tmp_path / "client.pem")
    shutil.copy(pki.stranger[1], tmp_path / "other.key")
    (tmp_path / "junk").write_text("no PEM\n")
    full = {k: v if v.startswith("/") else tmp_path / v for k, v in options.items()}
    with Probe("client", target="localhost:1", tls=1, **full) as probe:
        assert said in probe.until("error")["message"]
        probe.until("eof")


def test_certificates_are_read_again_while_it_runs(pki, tmp_path):
    files = {part: tmp_path / part for part in ("ca", "cert", "key")}
    shutil.copy(pki.other.ca, files["ca"])
    shutil.copy(pki.client[0], files["cert"])
    shutil.copy(pki.client[1], files["key"])
    with Server(server_credentials(pki, *pki.server, client=True)) as server:
        with client(server, **files, refresh=30, backoff=50) as probe:
            assert "certificate of localhost is refused" in probe.call(path="/t.S/Unary")["message"]
            shutil.copy(pki.ca, tmp_path / "new")
            (tmp_path / "new").rename(files["ca"])  # as it is renewed: a new file of the same name
            assert probe.until("files")["change"] == "taken"
            assert probe.call(path="/t.S/Unary", wait=1)["status"] == "0"
            files["key"].write_text("broken")
            said = probe.until("files", change="refused")["why"]
            assert str(files["key"]) in said
            assert probe.call(path="/t.S/Unary", wait=1)["status"] == "0"  # with what was read before
            probe.say("renew")
            assert probe.call(path="/t.S/Unary", wait=1)["status"] == "0"
            cert, key = pki.issue("renewed", "DNS:client")
            shutil.copy(cert, files["cert"])
            shutil.copy(key, files["key"])
            probe.until("files", change="taken")
            assert probe.call(path="/t.S/Unary", wait=1)["status"] == "0"
            assert int(probe.info()["connects"]) >= 3


# ---- our server ----


def channel(pki, probe, cert=None, key=None, ca=None):
    credentials = grpc.ssl_channel_credentials((ca or pki.ca).read_bytes(), key.read_bytes() if key else None,
                                               cert.read_bytes() if cert else None)
    port = probe.until("listening")["address"].rpartition(":")[2] if not hasattr(probe, "port") else probe.port
    probe.port = port
    return grpc.secure_channel(f"localhost:{port}", credentials,
                               options=[*UNLIMITED, ("grpc.use_local_subchannel_pool", 1)])


def test_server_with_tls(pki):
    cert, key = pki.server
    with Probe("server", cert=cert, key=key) as probe, channel(pki, probe) as ours:
        assert len(ours.unary_unary("/t.S/Echo")(bytes(3000000))) == 3000000
        # who speaks no HTTP/2 gets an alert, who speaks no TLS gets nothing
        old = ssl.create_default_context(cafile=pki.ca)
        old.set_alpn_protocols(["http/1.1"])
        with pytest.raises(ssl.SSLError):
            with __import__("socket").create_connection(("127.0.0.1", int(probe.port))) as raw:
                old.wrap_socket(raw, server_hostname="localhost")
        with grpc.insecure_channel(f"127.0.0.1:{probe.port}") as plain:
            with pytest.raises(grpc.RpcError):
                plain.unary_unary("/t.S/Echo")(b"")
        assert ours.unary_unary("/t.S/Echo")(b"still") == b"still"


def test_server_wants_client_certificates(pki):
    cert, key = pki.server
    with Probe("server", cert=cert, key=key, ca=pki.ca) as probe:
        with channel(pki, probe, *pki.client) as ours:
            call = ours.unary_stream("/t.S/Metadata")(b"")
            assert list(call) == [] and dict(call.initial_metadata())["seen-subject"] == "CN = client"
        for wrong in ((None, None), pki.stranger):
            with channel(pki, probe, *wrong) as ours, pytest.raises(grpc.RpcError) as failed:
                ours.unary_unary("/t.S/Echo")(b"")
            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


def test_server_takes_a_renewed_certificate(pki, tmp_path):
    cert, key = tmp_path / "cert", tmp_path / "key"
    shutil.copy(pki.wrong[0], cert)
    shutil.copy(pki.wrong[1], key)
    with Probe("server", cert=cert, key=key) as probe:
        with channel(pki, probe) as ours, pytest.raises(grpc.RpcError):
            ours.unary_unary("/t.S/Echo")(b"")
        shutil.copy(pki.server[0], cert)
        shutil.copy(pki.server[1], key)
        with channel(pki, probe) as ours:
            assert ours.unary_unary("/t.S/Echo")(b"new") == b"new"


def test_server_that_lacks_its_files_does_not_start(pki):
    with Probe("server", cert="/nowhere/cert", key="/nowhere/key") as probe:
        assert "/nowhere/cert" in probe.until("error")["message"]
        probe.until("eof")


def test_server_cuts_off_who_does_not_finish_the_handshake(pki):
    import socket
    cert, key = pki.server
    with Probe("server", cert=cert, key=key, handshake=100) as probe:
        host, _, port = probe.until("listening")["address"].rpartition(":")
        with socket.create_connection((host, int(port))) as peer:
            assert peer.recv(1) == b""
        probe.wait(lambda info: info["connections"] == "0")
