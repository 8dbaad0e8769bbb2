"""The command line as a user types it."""

import json
import subprocess
import threading

import pytest

import support
from support import cli, entry, extism_guest, publish_code, wait_for, write_guest

ECHO = extism_guest(
    functions="""
  (func (export "echo") (result i32)
    (call $output_set (call $input_offset) (call $input_length)) (i32.const 0))
  (func (export "say") (result i32) (call $say))
  (func (export "fail") (result i32) (call $error_set (call $copy (i32.const 8192) (i32.const 4))) (i32.const 1))
  (func (export "trap") (result i32) (unreachable))
  (func (export "spin") (result i32) (loop $l (br $l)) (i32.const 0))
"""
    + publish_code("test.hello", '"hi"')
)


@pytest.fixture
def echo(folder):
    return write_guest(folder, "echo", ECHO)


def test_call_gives_the_raw_bytes_of_the_answer(echo, folder):
    data = bytes(range(256)) * 10
    file = folder / "in.bin"
    file.write_bytes(data)
    assert cli("plugin", "call", echo, "echo", "--input", "text") == (0, b"text", "")
    assert cli("plugin", "call", echo, "echo", "--input", f"@{file}")[1] == data
    assert cli("plugin", "call", echo, "echo", "--input", "-", stdin=data)[1] == data
    assert cli("plugin", "call", echo, "echo")[:2] == (0, b"")


def test_call_tells_a_guest_error_from_a_host_error(echo, folder):
    code, out, err = cli("plugin", "call", echo, "fail")
    assert (code, out) == (1, b"") and '"hi"' in err
    code, _, err = cli("plugin", "call", echo, "trap")
    assert code == 1 and "unreachable" in err
    code, _, err = cli("plugin", "call", echo, "spin", "--timeout", "100")
    assert code == 1 and "deadline" in err
    code, _, err = cli("plugin", "call", echo, "nothing")
    assert code == 2 and "nothing" in err and "inspect" in err
    code, _, err = cli("plugin", "call", folder / "gone.wasm", "echo")
    assert code == 2 and "gone.wasm" in err
    code, _, err = cli("plugin", "call", echo, "echo", "--abi", "wapc")
    assert code == 2 and "extism" in err
    code, _, err = cli("plugin", "call", echo, "echo", "--engine", "v8")
    assert code == 2 and "wasmtime" in err
    code, _, err = cli("plugin", "call", echo, "echo", "--timeout", "soon")
    assert code == 2 and "--timeout" in err


def test_call_shows_what_would_be_published(echo):
    code, _, err = cli("plugin", "call", echo, "say")
    assert code == 0 and 'publish test.hello "hi"' in err


def test_inspect_shows_the_file_and_what_is_missing(echo, folder):
    code, out, _ = cli("plugin", "inspect", echo)
    assert code == 0 and b"extism" in out and b"outrider_publish" in out
    code, out, _ = cli("plugin", "inspect", echo, "--json")
    seen = json.loads(out)
    assert seen["abi"] == "extism" and len(seen["sha256"]) == 64 and seen["missing"] == []
    assert {"info", "process", "echo"} <= {e["name"] for e in seen["exports"]}
    odd = write_guest(folder, "odd", extism_guest(imports='(import "extism:host/env" "fly" (func))'))
    seen = json.loads(cli("plugin", "inspect", odd, "--json")[1])
    assert any("fly" in line for line in seen["missing"])
    text = folder / "text.wasm"
    text.write_text("hello")
    code, _, err = cli("plugin", "inspect", text)
    assert code == 2 and "text.wasm" in err


def test_version_and_help():
    assert cli("version")[1].startswith(b"outrider ")
    assert json.loads(cli("version", "--json")[1])["name"] == "outrider"
    for words in (["--help"], ["run", "--help"], ["status", "--help"], ["events", "--help"], ["plugin", "--help"]):
        code, out, _ = cli(*words)
        assert code == 0 and b"sage" in out, words
    code, _, err = cli("launch")
    assert code == 2 and "launch" in err


def test_status_without_an_agent_says_how_to_start_one(folder):
    code, _, err = cli("status", "--socket", folder / "none.sock")
    assert code == 2 and "none.sock" in err and "outrider run" in err


def test_status_is_fine_or_says_why_not(folder, nginx, agents):
    agent = agents()
    wait_for(lambda: agent.instances(), "instance")
    # Other NGINX of this machine may have troubles of their own: they are not ours to judge.
    alone = len(agent.instances()) == 1
    code, out, _ = cli("status", "--socket", agent.socket)
    assert str(nginx.pid()).encode() in out
    assert not alone or (code == 0 and b"fine" in out)
    state = json.loads(cli("status", "--json", "--socket", agent.socket)[1])["state"]
    assert state == "ok" or not alone
    bad = write_guest(folder, "bad", "(module)")
    agent.settings["plugins"]["load"] = [entry(bad)]
    agent.write_config()
    agent.signal(1)
    agent.wait_plugin("bad", "disabled")
    code, out, _ = cli("status", "--socket", agent.socket)
    assert code == 1 and b"bad" in out and b"ABI" in out


def test_plugins_lists_guests_and_modules(folder, nginx, agents):
    good = write_guest(folder, "good", extism_guest())
    agent = agents(plugins=[entry(good)])
    agent.wait_plugin("good", "running")
    code, out, _ = cli("plugins", "--socket", agent.socket)
    assert code == 0 and b"good" in out and b"metrics" in out
    names = {p["name"] for p in json.loads(cli("plugins", "--json", "--socket", agent.socket)[1])}
    assert {"good", "instances", "admin"} <= names


def test_events_follow_shows_what_happens_from_now_on(nginx, agents):
    agent = agents()
    follower = subprocess.Popen(
        [support.BINARY, "events", "--follow", "--json", "--topic", "nginx.metrics.sampled", "--socket", str(agent.socket)],
        stdout=subprocess.PIPE,
    )
    killer = threading.Timer(30, follower.kill)
    killer.start()
    try:
        seen = [json.loads(follower.stdout.readline()) for _ in range(3)]
    finally:
        killer.cancel()
        follower.kill()
        follower.wait()
    assert {e["topic"] for e in seen} == {"nginx.metrics.sampled"}
    assert [e["id"] for e in seen] == sorted(e["id"] for e in seen)


def test_the_binary_called_nginx_agent_is_the_agent(folder):
    import os

    link = folder / "nginx-agent"
    os.symlink(os.path.abspath(support.BINARY), link)
    done = subprocess.run([link, "--version"], capture_output=True, timeout=30)
    assert done.returncode == 0 and done.stdout.startswith(b"nginx-agent version v")
    done = subprocess.run([link, "--no-such-flag"], cwd=folder, capture_output=True, timeout=30)
    assert done.returncode == 1


def test_an_operator_switches_a_plugin_off_and_on(folder, nginx, agents):
    good = write_guest(folder, "good", extism_guest())
    agent = agents(plugins=[entry(good)])
    agent.wait_plugin("good", "running")
    code, out, _ = cli("plugin", "show", "good", "--json", "--socket", agent.socket)
    assert code == 0 and json.loads(out)["name"] == "good"
    code, out, _ = cli("plugin", "show", "good", "--socket", agent.socket)
    shown = out.decode()
    assert code == 0 and shown.startswith("good 1.0.0 is running, since ")
    for words in ("extism on wasmtime, messages in json", str(good), "subscribes  nginx.*", "calls", "memory", "denied      0"):
        assert words in shown, shown
    code, _, err = cli("plugin", "show", "nobody", "--socket", agent.socket)
    assert code == 1 and "nobody" in err
    assert cli("plugin", "disable", "good", "--socket", agent.socket)[0] == 0
    assert "operator" in agent.wait_plugin("good", "disabled")["reason"]
    wait_for(lambda: cli("plugin", "enable", "good", "--socket", agent.socket)[0] == 0, "enabled")
    agent.wait_plugin("good", "running")
    assert cli("plugin", "reload", "good", "--socket", agent.socket)[0] == 0
    code, _, err = cli("plugin", "reload", "nobody", "--socket", agent.socket)
    assert code == 1 and "nobody" in err
    code, _, err = cli("plugin", "reload", "metrics", "--socket", agent.socket)
    assert code == 1 and "compiled in" in err


def test_dead_letters_are_shown_and_replayed(folder, nginx, agents):
    picky = write_guest(
        folder,
        "picky",
        extism_guest(
            topics=("nginx.instance.*", "nginx.metrics.sampled"),
            process="""(global.set $count (i32.add (global.get $count) (i32.const 1)))
                       (i32.lt_s (global.get $count) (i32.const 3))""",
        ),
    )
    agent = agents(plugins=[entry(picky)])
    wait_for(lambda: (agent.plugin("picky") or {}).get("dead_letters", 0) == 2, "two messages failed")
    code, out, _ = cli("plugin", "dead-letters", "picky", "--socket", agent.socket)
    letters = json.loads(out)
    assert code == 0 and [x["number"] for x in letters] == [1, 2] and letters[0]["message"]["data"]
    assert cli("plugin", "replay", "picky", "--socket", agent.socket)[0] == 0
    wait_for(lambda: json.loads(cli("plugin", "dead-letters", "picky", "--socket", agent.socket)[1]) == [], "none left")
    assert agent.plugin("picky")["errors"] == 2
