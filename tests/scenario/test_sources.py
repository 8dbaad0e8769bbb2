"""Plugins that come over https: what is accepted, what is refused and why, and what happens without the server."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import support
import tls
from support import cli, extism_guest, publish_code, wait_for

PATH = "/p.wasm"


def guest(version):
    info = '{"name":"t","version":"%s","api":"1"}' % version
    return extism_guest(info=info, process="(call $say)", functions=publish_code("test.v", f'"{version}"')).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return tls.Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    return tls.Authority(tmp_path_factory.mktemp("tls"), "stranger")


@pytest.fixture
def server(authority):
    made = tls.Server(authority)
    yield made
    made.stop()


@pytest.fixture
def minisign(folder):
    """sign(data, key="a") gives the text of the .minisig file; keys[name] is the public key's file."""
    if shutil.which("minisign") is None:
        pytest.skip("there is no program minisign")
    keys = {}
    for name in ("a", "b"):
        keys[name] = folder / f"{name}.pub"
        subprocess.run(["minisign", "-G", "-W", "-p", keys[name], "-s", folder / f"{name}.key"], check=True,
                       stdout=subprocess.DEVNULL)

    def sign(data, key="a"):
        (folder / "data").write_bytes(data)
        subprocess.run(["minisign", "-S", "-s", folder / f"{key}.key", "-m", folder / "data", "-x", folder / "sig"],
                       check=True, stdout=subprocess.DEVNULL)
        return (folder / "sig").read_bytes()

    sign.keys = keys
    return sign


@pytest.fixture
def start(folder, agents, authority):
    """start(entry, trust={…}, **more keys of `plugins:`) runs an agent with that one plugin."""

    def make(entry, trust=None, run=True, **plugins):
        home = folder / "agent"
        section = {
            "directory": str(home),
            "cache": str(home / "cache"),
            "downloads": str(home / "downloads"),
            "trust": {"ca": str(authority.ca), **(trust or {})},
            "load": [{"name": "p", **entry}],
            **plugins,
        }
        agent = agents(start=False, name="agent", config={"plugins": section}, env={"no_proxy": "*", "NO_PROXY": "*"})
        if run:
            agent.start()
        return agent

    return make


def reason(agent, part, state="backoff"):
    return wait_for(
        lambda: (p := agent.plugin("p")) and p["state"] == state and part in p["reason"] and p["reason"],
        lambda: f"{part!r} in the reason; there is {agent.plugin('p')}\n{agent.text()[-2000:]}",
    )


def again(agent, between=lambda: None):
    """Stops the agent, does `between` and starts it anew, with an empty log."""
    code, _ = agent.stop()
    assert code == 0
    agent.cleanup()
    agent.log_path.unlink()
    between()
    agent.start()


# ---- what is written in the configuration ----


@pytest.mark.parametrize(
    "entry,part",
    [
        ({"source": "http://127.0.0.1/p.wasm", "sha256": "0" * 64}, "use https://"),
        ({"source": "https://127.0.0.1/p.wasm"}, "needs `sha256`"),
        ({"source": "https://me:secret@127.0.0.1/p.wasm", "sha256": "0" * 64}, "password"),
    ],
)
def test_a_source_that_nobody_vouches_for_is_a_configuration_error(start, entry, part):
    agent = start(entry, run=False)
    agent.start(wait=False)
    assert agent.process.wait(timeout=support.PATIENCE) == 1
    assert part in agent.text() and "agent.yaml:" in agent.text()
    assert "me:secret" not in agent.text()
    agent.process = None


# ---- digests ----


def test_a_pinned_plugin_is_fetched_once_and_then_started_without_the_server(server, start):
    data = server.files[PATH] = guest("1.0.0")
    agent = start({"source": server.url(PATH) + "?token=hush", "sha256": sha256(data)})
    seen = agent.wait_plugin("p", "running")
    assert seen["version"] == "1.0.0" and seen["source"] == server.url(PATH)
    assert len(server.seen) == 1
    assert "hush" not in agent.text()
    folder = agent.home / "downloads"
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    server.stop()
    again(agent)
    agent.wait_plugin("p", "running")
    assert len(server.seen) == 1


def test_a_wrong_digest_is_refused_and_both_are_named(server, start):
    data = server.files[PATH] = guest("1.0.0")
    agent = start({"source": server.url(PATH), "sha256": "0" * 64})
    text = reason(agent, "sha256", "disabled")
    assert sha256(data) in text and "0" * 64 in text and "agent.yaml:" in text
    # The operator mends the entry.
    agent.settings["plugins"]["load"][0]["sha256"] = sha256(data)
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.wait_plugin("p", "running")


@pytest.mark.parametrize("damage", ["half", "empty", "flip", "link"])
def test_a_damaged_download_is_fetched_anew(server, start, damage):
    data = server.files[PATH] = guest("1.0.0")
    agent = start({"source": server.url(PATH), "sha256": sha256(data)})
    agent.wait_plugin("p", "running")
    agent.stop()
    (kept,) = (agent.home / "downloads").iterdir()
    text = kept.read_bytes()
    if damage == "link":
        kept.rename(agent.home / "elsewhere")
        kept.symlink_to(agent.home / "elsewhere")
    else:
        cut = {"half": text[: len(text) // 2], "empty": b"", "flip": text[:-1] + bytes([text[-1] ^ 1])}
        kept.write_bytes(cut[damage])
    agent.log_path.unlink()
    agent.start()
    agent.wait_plugin("p", "running")
    assert len(server.seen) == 2
    wait_for(lambda: "kept download is not used" in agent.text(), "the log says so")


def test_a_folder_that_others_can_write_is_not_used(server, start):
    data = server.files[PATH] = guest("1.0.0")
    agent = start({"source": server.url(PATH), "sha256": sha256(data)}, run=False)
    (agent.home / "downloads").mkdir()
    os.chmod(agent.home / "downloads", 0o777)
    agent.start()
    agent.wait_plugin("p", "running")
    wait_for(lambda: "can be written by others" in agent.text(), "the log says so")
    assert list((agent.home / "downloads").iterdir()) == []


# ---- TLS, redirects, sizes, time ----


def test_a_certificate_of_another_authority_is_refused_and_tried_again(server, start, stranger, authority):
    data = server.files[PATH] = guest("1.0.0")
    agent = start({"source": server.url(PATH), "sha256": sha256(data)}, trust={"ca": str(stranger.ca)})
    reason(agent, "not trusted")
    assert server.seen == []
    agent.settings["plugins"]["trust"]["ca"] = str(authority.ca)
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.wait_plugin("p", "running")


def test_the_systems_roots_do_not_know_our_authority(server, start):
    data = server.files[PATH] = guest("1.0.0")
    agent = start({"source": server.url(PATH), "sha256": sha256(data)}, trust={}, run=False)
    del agent.settings["plugins"]["trust"]["ca"]
    agent.write_config()
    agent.start()
    reason(agent, "https://127.0.0.1")
    assert server.seen == []


def test_a_certificate_for_another_name_is_refused(folder, start):
    authority = tls.Authority(folder / "tls", "misnamed", names="DNS:other.example")
    server = tls.Server(authority)
    try:
        data = server.files[PATH] = guest("1.0.0")
        agent = start({"source": server.url(PATH), "sha256": sha256(data)}, trust={"ca": str(authority.ca)})
        reason(agent, "not trusted")
        assert server.seen == []
    finally:
        server.stop()


def test_redirects_stay_on_https(server, start):
    data = server.files[PATH] = guest("1.0.0")
    server.redirects["/go"] = server.url(PATH)
    server.redirects["/down"] = "http://127.0.0.1:1/p.wasm"
    server.redirects["/file"] = "file:///etc/passwd"
    server.redirects["/round"] = server.url("/round")
    agent = start({"source": server.url("/go"), "sha256": sha256(data)})
    agent.wait_plugin("p", "running")
    for path, part in (("/down", "not https"), ("/file", "not https"), ("/round", "redirects more than")):
        agent.settings["plugins"]["load"][0]["source"] = server.url(path)
        agent.write_config()
        again(agent, lambda: shutil.rmtree(agent.home / "downloads", ignore_errors=True))
        reason(agent, part)


def test_a_server_that_drips_is_left_at_the_limit(server, start):
    server.drips.add(PATH)
    agent = start({"source": server.url(PATH), "sha256": "0" * 64}, download_timeout="500ms")
    reason(agent, "not fetched within 500 ms")


def test_an_agent_that_stops_does_not_wait_for_a_server_that_drips(server, start):
    server.drips.add(PATH)
    agent = start({"source": server.url(PATH), "sha256": "0" * 64}, run=False, download_timeout="1h")
    agent.start(wait=False)
    wait_for(lambda: server.seen, "the download has begun")
    code, _ = agent.stop()
    assert code == 0
    assert "a worker is still busy" not in agent.text()
    assert "did not stop in time" not in agent.text()


def test_a_file_that_is_too_large_is_refused(server, start):
    server.files[PATH] = bytes((64 << 20) + 1)
    agent = start({"source": server.url(PATH), "sha256": "0" * 64})
    wait_for(lambda: "is larger than 67108864 bytes" in (agent.plugin("p") or {}).get("reason", ""), "refused")


def test_a_server_that_comes_later_is_found(server, start, authority):
    data = guest("1.0.0")
    port = server.port
    server.stop()
    agent = start({"source": server.url(PATH), "sha256": sha256(data)})
    reason(agent, "https://127.0.0.1")
    late = tls.Server(authority, port)
    try:
        late.files[PATH] = data
        seen = agent.wait_plugin("p", "running", seconds=60)
        assert seen["reason"] == ""
    finally:
        late.stop()


def test_a_missing_file_is_named_and_tried_again(server, start):
    data = guest("1.0.0")
    agent = start({"source": server.url(PATH), "sha256": sha256(data)})
    reason(agent, "status 404")
    server.files[PATH] = data
    agent.wait_plugin("p", "running", seconds=60)


# ---- signatures ----


def test_a_signed_plugin_is_asked_for_changes_and_survives_without_the_server(server, start, minisign):
    one = server.files[PATH] = guest("1.0.0")
    server.files[PATH + ".minisig"] = minisign(one)
    agent = start({"source": server.url(PATH)}, trust={"keys": [str(minisign.keys["a"])]})
    assert agent.wait_plugin("p", "running")["version"] == "1.0.0"
    # Unchanged: the server says so, nothing is sent again.
    again(agent)
    agent.wait_plugin("p", "running")
    assert server.seen[-1][0] == PATH and server.seen[-1][1]
    # A new version is fetched by `plugin reload`.
    two = server.files[PATH] = guest("2.0.0")
    server.files[PATH + ".minisig"] = minisign(two)
    code, _, text = cli("plugin", "reload", "p", "--socket", agent.socket)
    assert code == 0, text
    wait_for(lambda: agent.plugin("p")["version"] == "2.0.0", "the new version runs")
    # Without the server the kept one is verified and used.
    server.stop()
    again(agent)
    assert agent.wait_plugin("p", "running")["version"] == "2.0.0"
    wait_for(lambda: "cannot be reached, using the kept download" in agent.text(), "the log says so")


def test_a_bad_signature_keeps_the_running_version(server, start, minisign):
    one = server.files[PATH] = guest("1.0.0")
    server.files[PATH + ".minisig"] = minisign(one)
    agent = start({"source": server.url(PATH)}, trust={"keys": [str(minisign.keys["a"])]})
    agent.wait_plugin("p", "running")
    server.files[PATH] = guest("2.0.0")  # the signature is the old one's
    cli("plugin", "reload", "p", "--socket", agent.socket)
    wait_for(lambda: "not the one that was signed" in agent.plugin("p")["reason"], "refused")
    assert agent.plugin("p")["state"] == "running" and agent.plugin("p")["version"] == "1.0.0"


def test_an_unknown_key_is_named_and_a_revoked_one_is_refused(server, start, minisign):
    one = server.files[PATH] = guest("1.0.0")
    server.files[PATH + ".minisig"] = minisign(one, "b")
    agent = start({"source": server.url(PATH)}, trust={"keys": [str(minisign.keys["a"])]})
    text = reason(agent, "not in plugins.trust.keys", "disabled")
    key_id = pathlib.Path(minisign.keys["b"]).read_text().split("public key ")[1].split()[0]
    assert key_id.lower() in text and "p.wasm.minisig" in text
    agent.settings["plugins"]["trust"]["keys"].append(str(minisign.keys["b"]))
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.wait_plugin("p", "running")
    agent.settings["plugins"]["trust"]["revoked"] = [key_id]
    agent.write_config()
    agent.signal(signal.SIGHUP)
    # What runs was signed by it, so it ends at once; and it does not start again.
    reason(agent, "plugins.trust.revoked", "disabled")
    again(agent)
    reason(agent, "plugins.trust.revoked", "disabled")
