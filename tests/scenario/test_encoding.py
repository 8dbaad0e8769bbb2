"""Plugins in JSON and in protobuf side by side: the same data reach both, and each reads what the other publishes."""

import json

import pytest

import support
from support import BUILD, cli, entry, extism_guest, publish_code, wait_for, write_guest

# outrider.plugin.v1.Info and Subscriptions by hand: name, version, api; one topic.
INFO = "\n\x01t\x12\x051.0.0\x1a\x011"
VALUE = "*\x0c\n\n\n\x02ok\x12\x04\x1a\x02is"  # {"ok": "is"}


def subscriptions(topic):
    one = "\n" + chr(len(topic)) + topic
    return "\n" + chr(len(one)) + one


def hand_made(topic="nginx.metrics.sampled", value=VALUE, **more):
    settings = dict(info=INFO, subscriptions=subscriptions(topic), functions=publish_code("test.good", value))
    return extism_guest(process="(call $say)", **{**settings, **more})


def built(name):
    path = (BUILD / "tests/guests" / f"{name}.wasm").resolve()
    if not path.exists():
        pytest.skip(f"{path.name} is not built: see OTR_GUESTS in tests/guests")
    return path


def protobuf(path, name=None, **settings):
    return entry(path, name=name, encoding="protobuf", grants={"publish": ["test.*"]}, **settings)


@pytest.mark.parametrize("guest", ["rust-protobuf-extism", "rust-protobuf-wapc", "go-protobuf-wapc"])
def test_the_same_sample_reaches_both_encodings(nginx, agents, guest):
    topics = ["nginx.metrics.sampled"]
    slow = {"limits": {"init": "60s", "call": "20s"}}
    if guest.startswith("go-"):
        slow["engine"] = "wasmi"  # compiling these megabytes takes longer than all else here
    agent = agents(
        start=False,
        plugins=[
            entry(built("c-extism"), name="json", subscribe=topics, grants={"publish": ["test.*"]}),
            protobuf(built(guest), name="proto", subscribe=topics, config={"a": [1, {"b": None}]}, **slow),
        ],
    )
    agent.start(wait=False)
    wait_for(lambda: "msg=ready" in agent.text(), "the agent is ready", seconds=120)
    agent.wait_plugin("proto", "running", seconds=120)
    nginx.get("/")

    def pair():
        by_cause = {}
        for event in agent.events("test.echo"):
            by_cause.setdefault(event["cause"], {})[event["source"]] = event["data"]
        return next((p for p in by_cause.values() if len(p) == 2 and p["json"]["status_ok"]), None)

    both = wait_for(pair, lambda: f"both echo one sample: {agent.events('test.echo')[-4:]}")
    compared = {k: both["json"][k] for k in both["proto"] if k != "cause"}
    assert {k: v for k, v in both["proto"].items() if k != "cause"} == compared
    assert compared["status_ok"] is True and compared["requests"] > 0 and set(compared["responses"]) >= {"2xx"}
    for name in ("json", "proto"):
        plugin = agent.plugin(name)
        assert plugin["errors"] == 0 and plugin["encoding"] == ("json" if name == "json" else "protobuf")


def test_a_json_guest_receives_what_a_protobuf_guest_publishes(folder, nginx, agents):
    guest = write_guest(folder, "hand-made", hand_made())
    agent = agents(
        plugins=[
            protobuf(guest),
            entry(built("c-extism"), name="json", subscribe=["test.good"], grants={"publish": ["test.echo"]}),
        ]
    )
    echo = agent.wait_event("test.echo", lambda e: e["source"] == "json")
    assert echo["data"] == {"ok": "is"}
    good = next(e for e in agent.events("test.good") if e["id"] == echo["cause"])
    assert good["source"] == "hand-made" and good["data"] == {"ok": "is"}


def test_a_protobuf_guest_receives_what_a_json_guest_publishes(folder, nginx, agents):
    data = {"a": [1, 2.5, None, True, "é"], "b": {"c": {}}}
    topics = ("nginx.metrics.sampled",)
    said = write_guest(
        folder, "said", extism_guest(process="(call $say)", functions=publish_code("test.said", json.dumps(data)), topics=topics)
    )
    agent = agents(
        plugins=[
            entry(said, grants={"publish": ["test.said"]}),
            protobuf(built("rust-protobuf-wapc"), name="proto", subscribe=["test.said"]),
        ]
    )
    assert agent.wait_event("test.echo")["data"] == data
    assert agent.plugin("proto")["errors"] == 0


def test_wrong_encodings_are_said_by_key_and_message(folder, nginx, agents):
    as_json = write_guest(folder, "as-json", extism_guest())
    deep = write_guest(folder, "deep", hand_made(info=INFO + "\x12\x7f"))
    plugins = [
        protobuf(as_json),
        entry(write_guest(folder, "as-protobuf", hand_made())),
        protobuf(deep),
        protobuf(write_guest(folder, "no-topics", hand_made(subscriptions="\n\x02\n\x7f"))),
    ]
    agent = agents(plugins=plugins)
    for name, parts in {
        "as-json": ["info", "outrider.plugin.v1.Info", "not protobuf"],
        "as-protobuf": ["info", "not JSON"],
        "deep": ["info", "cut off"],
        "no-topics": ["subscriptions", "cut off"],
    }.items():
        reason = agent.wait_plugin(name, "disabled")["reason"]
        assert all(part in reason for part in parts), reason


def test_a_wit_component_takes_json_alone(agents, nginx):
    agent = agents(plugins=[protobuf(built("c-wit"), name="component")])
    assert "encoding" in agent.wait_plugin("component", "disabled", seconds=120)["reason"]


def test_an_unknown_encoding_is_refused_with_the_choices(folder, agents):
    import subprocess

    agent = agents(start=False, plugins=[entry("x.wasm", name="x", encoding="xml")])
    done = subprocess.run([support.BINARY, "run", "--config", agent.conf], capture_output=True, timeout=60, check=False)
    text = done.stderr.decode() + done.stdout.decode()
    assert done.returncode != 0
    assert "encoding" in text and "protobuf" in text and "agent.yaml:" in text


def length(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + length(n >> 7)


def test_a_guest_that_publishes_deep_nesting_gets_an_error_and_the_agent_lives(folder, nginx, agents):
    deep = b" \x01"
    for _ in range(3000):
        one = b"\n" + length(len(deep)) + deep
        deep = b"2" + length(len(one)) + one
    said = "".join(f"\\{b:02x}" for b in deep)
    functions = f"""
  (data (i32.const 4096) "test.deep")
  (data (i32.const 8192) "{said}")
  (func $say (result i32)
    (i64.ne (i64.const 0) (call $publish (call $copy (i32.const 4096) (i32.const 9))
                                          (call $copy (i32.const 8192) (i32.const {len(deep)})))))"""
    agent = agents(plugins=[protobuf(write_guest(folder, "deep", hand_made(functions=functions)))])
    wait_for(lambda: (agent.plugin("deep") or {}).get("errors", 0) > 1, "its calls fail")
    assert agent.plugin("deep")["state"] == "running"
    assert agent.events("test.deep") == []


def test_plugin_call_shows_json_whatever_the_encoding(folder):
    guest = write_guest(folder, "t", hand_made("a.b"))
    code, out, _ = cli("plugin", "call", guest, "info", "--encoding", "protobuf")
    assert code == 0 and json.loads(out) == {"name": "t", "version": "1.0.0", "api": "1"}
    code, out, _ = cli("plugin", "call", guest, "subscriptions", "--encoding", "protobuf")
    assert code == 0 and json.loads(out) == {"topics": [{"pattern": "a.b", "kind": "event"}]}
    code, _, err = cli("plugin", "call", guest, "process", "--encoding", "protobuf", "--input", '{"data":[1]}')
    assert code == 0 and 'publish test.good {"ok":"is"}' in err
    code, _, err = cli("plugin", "call", guest, "process", "--encoding", "protobuf", "--input", "nonsense")
    assert code == 2 and "JSON" in err
    code, _, err = cli("plugin", "call", write_guest(folder, "j", extism_guest()), "info", "--encoding", "protobuf")
    assert code == 1 and "outrider.plugin.v1.Info" in err
    code, _, err = cli("plugin", "call", guest, "info", "--encoding", "xml")
    assert code == 2 and "--encoding" in err


def test_a_question_is_answered_in_protobuf(folder, agents):
    def hook(name, verdict):
        one = "\n\x15nginx.config.validate\x10\x01"  # kind: hook
        code = f"(call $answer (i32.const 16384) (i32.const {len(verdict)})) (i32.const 0)"
        functions = f'(data (i32.const 16384) "{support.escape(verdict)}")'
        text = extism_guest(info=INFO, subscriptions="\n" + chr(len(one)) + one, functions=functions, process=code)
        return protobuf(write_guest(folder, name, text))

    agent = agents(plugins=[hook("yes", "\x08\x01"), hook("no", "\x08\x02\x12\x07no gzip"), hook("neither", "\x12\x01x")])
    for name in ("yes", "no", "neither"):
        agent.wait_plugin(name, "running")
    code, out, _ = cli("plugin", "ask", "nginx.config.validate", "--json", "--socket", agent.socket)
    answers = {a["plugin"]: a for a in json.loads(out)["answers"]}
    assert code == 1 and json.loads(out)["reason"] == 'plugin "no" denies: no gzip'
    assert answers["yes"]["verdict"] == "allow" and answers["no"]["verdict"] == "deny"
    assert answers["neither"]["how"] == "failed", answers
