"""Texts of strangers, at every place where an operator or another plugin sees them."""

import json
import os
import re
import socket
import struct

import pytest
from support import cli, entry, extism_guest, write_guest

# Controls of a terminal (C0, C1), line breaks that forge a line, marks that turn or hide text.
HOSTILE = "\x1b]0;t\x07\x1b[2J\x9b31m\u202e\u2028\u200b\u2066\U000e0001\x7f\r\nFORGED"
NOT_TEXT = HOSTILE.encode() + b"\xff\xc3("
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def clean(what, text):
    """No hidden character, nothing that is no text, no line that a stranger began."""
    if isinstance(text, bytes):
        text = text.decode()
    found = HIDDEN.search(text)
    assert not found, (what, found, text[max(0, found.start() - 60) : found.end() + 60])
    assert not re.search(r"^\s*FORGED", text, re.MULTILINE), (what, text)


def clean_json(what, text):
    """Neither raw nor, for what we say ourselves, once it is read."""
    clean(what, text)

    def walk(value, key=""):
        if isinstance(value, dict):
            for name, one in value.items():
                walk(one, name)
        elif isinstance(value, list):
            for one in value:
                walk(one, key)
        elif isinstance(value, str) and key in ("reason", "err", "message", "last_error", "missing", "reasons"):
            clean((what, key), value)

    for line in text.decode().splitlines():
        if line.startswith(("{", "[")):
            walk(json.loads(line))


def wat(data):
    data = data.encode() if isinstance(data, str) else data
    return "".join(f"\\{b:02x}" for b in data)


class Texts:
    """Data segments, and the code that gives one of them as a block."""

    def __init__(self):
        self.at, self.segments = 8192, []

    def block(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.segments.append(f'(data (i32.const {self.at}) "{wat(data)}")')
        code = f"(call $copy (i32.const {self.at}) (i32.const {len(data)}))"
        self.at += len(data)
        return code


def framed(head, body=b""):
    text = json.dumps(head, ensure_ascii=False).encode()
    return struct.pack("<I", len(text)) + text + body


OWN = """
  (import "extism:host/user" "outrider_call" (func $host (param i64 i64) (result i64)))
  (import "extism:host/env" "log_warn" (func $log (param i64)))
"""


def loud():
    """Names and texts in every operation; each is denied or refused, and told."""
    t = Texts()
    calls = [
        (HOSTILE, ""),
        (NOT_TEXT, ""),
        ("kv.get", NOT_TEXT),
        ("kv.set", json.dumps({"key": HOSTILE, "value": HOSTILE}, ensure_ascii=False)),
        ("kv.set", NOT_TEXT),
        ("env.get", NOT_TEXT),
        ("secret.get", NOT_TEXT),
        ("random.bytes", NOT_TEXT),
        ("http.request", framed({"url": HOSTILE})),
        ("http.request", framed({"url": "http://127.0.0.1/", HOSTILE: 1})),
        ("http.request", framed({"url": "http://127.0.0.1/", "headers": {HOSTILE: "x"}})),
        ("http.request", framed({"url": "http://127.0.0.1/\u202e"})),
        ("metric.counter", json.dumps({"name": HOSTILE, "value": 1}, ensure_ascii=False)),
        ("metric.counter", json.dumps({"name": "n", "value": 1, "labels": {"k": HOSTILE}}, ensure_ascii=False)),
        ("metric.gauge", json.dumps({"name": "g", "value": 1, "labels": {HOSTILE: "v"}}, ensure_ascii=False)),
    ]
    code = "\n".join(f"(drop (call $host {t.block(op)} {t.block(data)}))" for op, data in calls)
    data = json.dumps({"text": HOSTILE}, ensure_ascii=False)
    code += f"(call $log {t.block(NOT_TEXT)})"
    for topic, said in ((HOSTILE, data), (NOT_TEXT, data), ("test.loud", data), ("test.loud", NOT_TEXT)):
        code += f"(drop (call $publish {t.block(topic)} {t.block(said)}))"
    verdict = json.dumps({"verdict": "deny", "message": HOSTILE}, ensure_ascii=False)
    topics = json.dumps({"topics": [{"pattern": "ask.*", "kind": "hook"}]})
    return extism_guest(
        imports=OWN,
        functions="\n".join(t.segments) + f'(data (i32.const 65536) "{wat(verdict)}")',
        init=f"{code} (i32.const 0)",
        process=f"(call $answer (i32.const 65536) (i32.const {len(verdict.encode())})) (i32.const 0)",
        subscriptions=topics,
    )


def failing(text=NOT_TEXT):
    t = Texts()
    block = t.block(text)
    return extism_guest(functions="\n".join(t.segments), init=f"(call $error_set {block}) (i32.const 1)")


def named():
    return extism_guest(
        imports=f'(import "{wat(HOSTILE)}" "{wat(HOSTILE)}" (func)) (import "extism:host/env" "{wat(HOSTILE)}" (func))',
        functions=f'(func (export "{wat(HOSTILE)}")) (global (export "{wat(HOSTILE)}2") i32 (i32.const 0))',
    )


def wapc():
    n = len(NOT_TEXT)
    return f"""(module
  (import "wapc" "__guest_error" (func $error (param i32 i32)))
  (import "wapc" "__console_log" (func $log (param i32 i32)))
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{wat(NOT_TEXT)}")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $log (i32.const 0) (i32.const {n}))
    (drop (call $host (i32.const 0) (i32.const {n}) (i32.const 0) (i32.const {n}) (i32.const 0) (i32.const {n})
                      (i32.const 0) (i32.const {n})))
    (call $error (i32.const 0) (i32.const {n}))
    (i32.const 0)))"""


@pytest.fixture
def guests(folder):
    """Each of these ends in another message about somebody's text."""
    info = json.dumps({"name": "t", "version": HOSTILE, "api": "1"})
    api = json.dumps({"name": "t", "version": "1.0.0", "api": HOSTILE})
    subs = json.dumps({"topics": [{"pattern": HOSTILE, "kind": HOSTILE}]})
    made = {
        "loud": loud(),
        "failing": failing(),
        "named": named(),
        "wapc": wapc(),
        "info": extism_guest(info=info),
        "api": extism_guest(info=api),
        "subs": extism_guest(subscriptions=subs),
        "nojson": extism_guest(info="{" + HOSTILE),
        "notwasm": f"{HOSTILE} hunter2",
        "badwat": f'(module (func (export "{HOSTILE}") hunter2))',
    }
    return {name: write_guest(folder / "guests", name, text) for name, text in made.items()}


def plugins_of(folder, guests):
    evil = folder / "guests" / "evil.json"
    evil.write_text(json.dumps({"wasm": [{"path": HOSTILE, "name": HOSTILE}], HOSTILE: 1}))
    odd = folder / "guests" / f"x{HOSTILE}.wat"
    odd.write_text("hunter2")
    grants = {
        "publish": ["test.*"],
        "kv_bytes": 65536,
        "metrics": 10,
        "http": [{"hosts": ["127.0.0.1"], "paths": ["/a"], "schemes": ["http"]}],
    }
    life = {"restart": {"backoff": "1h", "backoff_max": "1h"}}
    all_of = [entry(path, name=name, **(dict(grants=grants) if name == "loud" else life)) for name, path in guests.items()]
    return [*all_of, entry(evil, name="evil", **life), entry(odd, name="odd", **life)]


def settled(agent):
    def all_there():
        seen = agent.api("status")["plugins"]
        return seen and all(p["state"] not in ("loading", "waiting") for p in seen)

    from support import wait_for

    wait_for(all_there, lambda: agent.api("status")["plugins"], 60)


def test_no_text_of_a_plugin_reaches_terminal_log_page_or_metrics_raw(folder, agents, guests):
    load = plugins_of(folder, guests)
    agent = agents(plugins=load)
    settled(agent)
    at = ("--socket", agent.socket)
    code, out, err = cli("plugin", "ask", "ask.me", "--input", "{}", *at)
    assert code == 1 and rb"\x1b[2J" in out
    clean("ask", out + err.encode())
    views = [("status",), ("plugins",), ("events", "--last", "200"), ("plugin", "ask", "ask.me", "--input", "{}")]
    views += [("plugin", "show", p["name"]) for p in load] + [("plugin", "dead-letters", "loud")]
    for view in views:
        code, out, err = cli(*view, *at)
        clean(view, out + err.encode())
        code, out, err = cli(*view, "--json", *at)
        clean_json(view, out)
        clean(view, err)
    log = agent.log_path.read_bytes()
    clean("log", log)
    assert rb"\\x1b[2J" in log or rb"\x1b[2J" in log
    for place in ("/metrics", "/api/v1/status", "/api/v1/events?last=200", "/"):
        clean(place, agent.http(place))
    assert r"\\x1b[2J" in agent.http("/metrics")
    for name in ("failing", "named", "evil", "odd", "notwasm", "badwat", "nojson", "api", "subs"):
        reason = agent.plugin(name)["reason"]
        assert reason, name
        clean((name, "reason"), reason)
        assert "hunter2" not in reason
    assert b"hunter2" not in log


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_no_text_of_a_file_reaches_the_terminal_raw(folder, guests, engine):
    plugins_of(folder, guests)
    for name in [*sorted(os.listdir(folder / "guests"))]:
        file = folder / "guests" / name
        for args in (
            ("inspect", file),
            ("call", file, "init"),
            ("call", file, HOSTILE),
            ("call", file, "process", "--module", f"{HOSTILE}={file}"),
            ("bench", file, "init", "--seconds", "0.1"),
        ):
            code, out, err = cli("plugin", *args, "--engine", engine)
            if args[0] != "call":
                clean(args, out)
            clean(args, err)
            assert "hunter2" not in err
        out = cli("plugin", "inspect", file, "--json", "--engine", engine)[1]
        clean_json(name, out)
    seen = json.loads(cli("plugin", "inspect", guests["named"], "--json", "--engine", engine)[1])
    assert HOSTILE in {x["name"] for x in seen["exports"]}  # data stay what they are
    assert len([line for line in seen["missing"] if "is not offered" in line]) == 2


def test_no_text_of_a_configuration_reaches_the_terminal_raw(folder):
    conf = folder / "agent.conf"
    quoted = json.dumps(HOSTILE)
    for text in (
        f"{quoted}: 1\n",
        f"outrider: {{ {quoted}: 1 }}\n",
        f"log: {{ level: {quoted} }}\n",
        f"outrider: {{ status: {{ port: {quoted} }} }}\n",
        f"plugins: {{ load: [ {{ name: {quoted}, source: /x }} ] }}\n",
        f"plugins: {{ load: [ {{ name: a, source: /x, {quoted}: 1 }} ] }}\n",
        f"plugins: {{ load: [ {{ name: a, source: /x, engine: {quoted} }} ] }}\n",
        f"plugins: {{ load: [ {{ name: a, source: /x, grants: {{ http: [ {quoted} ] }} }} ] }}\n",
        f"plugins: {{ load: [ {{ name: a, source: /x, grants: {{ publish: [ {quoted} ] }} }} ] }}\n",
        f"a: b\x1b[2J: c\n",
    ):
        conf.write_text(text)
        for args in (("config", "show"), ("config", "show", "--json"), ("run",)):
            if args == ("run",) and text.startswith("log"):
                continue  # it is fine, and runs
            code, out, err = cli(*args, "--config", conf)
            clean((text, args), out)
            clean((text, args), err)
    code, out, err = cli("config", "show", "--config", folder / f"no{HOSTILE}")
    clean("name", err)
    for args in ((HOSTILE,), ("status", HOSTILE), ("plugin", "show", HOSTILE), ("plugin", "inspect", "x", HOSTILE)):
        code, out, err = cli(*args)
        assert code == 2
        clean(args, err)


def test_what_is_no_regular_file_is_refused_at_once(folder):
    fifo, link = folder / "fifo", folder / "link"
    os.mkfifo(fifo)
    os.symlink(fifo, link)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(folder / "socket"))
    sparse = folder / "sparse"
    with open(sparse, "wb") as f:
        f.truncate(1 << 40)
    guest = write_guest(folder, "echo", extism_guest())
    for file in (fifo, link, folder / "socket", folder, "/dev/zero", sparse):
        for args in (
            ("plugin", "inspect", file),
            ("plugin", "call", file, "info"),
            ("plugin", "bench", file, "info"),
            ("plugin", "compile", file, "--cache", folder / "cache"),
            ("plugin", "call", guest, "info", "--input", f"@{file}"),
            ("plugin", "call", guest, "info", "--module", f"a={file}"),
            ("config", "show", "--config", file),
        ):
            code, _, err = cli(*args)
            assert code == 2 and str(file) in err, (args, err)
            assert "regular file" in err or "more than the limit" in err, (args, err)
    unix.close()
