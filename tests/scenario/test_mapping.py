"""Guests that were not built for us take part in the bus: those that others published, and any operation of our own."""

import base64
import json
import pathlib
import signal

import pytest
import yaml

from support import BUILD, cli, entry, extism_guest, publish_code, wait_for, write_guest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = {
    "text": "hello world",
    "list": [{"name": "first"}, {"name": "sec\u00f6nd"}],
    "deny": {"verdict": "deny", "message": "not today"},
    "thing": None,
}
VOWELS = "third-count-vowels"


def built(name):
    path = (BUILD / "tests/guests" / f"{name}.wasm").resolve()
    if not path.exists():
        pytest.skip(f"{path.name} is not there: see tests/guests/README.md")
    return path


@pytest.fixture
def talker(folder):
    """Publishes DATA under test.in with each sample."""
    guest = extism_guest(
        process="(call $say)", functions=publish_code("test.in", json.dumps(DATA)), topics=("nginx.metrics.sampled",)
    )
    return entry(write_guest(folder, "talker", guest), grants={"publish": ["test.in"]})


def mapped(path, name, operation, publish="test.out", granted=True, **settings):
    """An entry for a guest that knows nothing of us."""
    settings = {"operations": {"process": operation}, "version": "1.0", "subscribe": ["test.in"], **settings}
    if publish:
        settings["publish"] = publish
    if granted:
        settings.setdefault("grants", {})["publish"] = ["test.*"]
    settings.setdefault("limits", {"init": "20s", "call": "10s"})
    return entry(path, name=name, **settings)


def answers(agent, name):
    return [e for e in agent.events("test.out") if e["source"] == name]


def answer(agent, name, match=lambda e: True):
    return wait_for(
        lambda: next((e for e in answers(agent, name) if match(e)), None),
        lambda: f"{name} answers: {agent.plugin(name)}\n{agent.text()[-3000:]}",
        seconds=60,
    )


def balanced(agent, *names):
    """Every message that was taken is accounted for."""
    for p in map(agent.plugin, names):
        assert p["queue"]["taken"] + p["given_again"] == p["handled"] + p["dead_letters"] + p["in_hand"], p


def running(agent, name):
    return agent.wait_plugin(name, "running", seconds=60)


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_plugins_that_others_published_take_part(nginx, agents, talker, engine):
    """Extism's count_vowels and config, and waPC's hello in Rust and AssemblyScript, as they were published."""
    agent = agents(
        start=False,
        plugins=[
            talker,
            mapped(built(VOWELS), "vowels", "count_vowels", input="data.text", engine=engine),
            mapped(built("third-config"), "config", "run_test", config={"thing": "hello"}, input="text", engine=engine),
            mapped(built("third-wapc-rust"), "rust", "echo", input="list.1.name", engine=engine),
            mapped(built("third-wapc-as"), "as", "echo", input="data", engine=engine),
        ],
    )
    agent.start(wait=False)
    wait_for(lambda: "msg=ready" in agent.text(), "the agent is ready", seconds=120)
    seen = answer(agent, "vowels")
    assert seen["data"] == {"count": 3, "total": seen["data"]["total"], "vowels": "aeiouAEIOU"}
    cause = next(e for e in agent.events("test.in") if e["id"] == seen["cause"])
    assert cause["source"] == "talker"
    assert "hello" in json.dumps(answer(agent, "config")["data"])
    assert answer(agent, "rust")["data"] == DATA["list"][1]["name"]
    assert answer(agent, "as")["data"] == DATA
    for name in ("vowels", "config", "rust", "as"):
        plugin = agent.plugin(name)
        assert plugin["state"] == "running" and plugin["version"] == "1.0" and plugin["engine"] == engine
        assert plugin["errors"] == plugin["traps"] == plugin["skipped"] == plugin["denials"] == 0
    assert agent.plugin("vowels")["operations"] == {"process": "count_vowels"}
    wait_for(lambda: 'operation="process → count_vowels"' in agent.text(), "the log says so")


# Exports a function of its own and knows no world of ours.
COMPONENT = """(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "shout") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
  (core instance $i (instantiate $m))
  (func (export "shout") (param "input" (list u8)) (result (list u8))
    (canon lift (core func $i "shout") (memory $i "memory") (realloc (func $i "realloc")))))
"""


def test_a_component_of_another_world_takes_part(folder, nginx, agents, talker):
    guest = write_guest(folder, "stranger", COMPONENT)
    agent = agents(
        plugins=[
            talker,
            mapped(guest, "field", "shout", input="data.text"),
            mapped(guest, "data", "shout", input="data"),
            mapped(guest, "wrong", "shoutt", input="data"),
        ]
    )
    assert answer(agent, "field")["data"] == "hello world"
    assert answer(agent, "data")["data"] == DATA
    assert agent.plugin("data")["abi"] == "wit"
    reason = agent.wait_plugin("wrong", "disabled")["reason"]
    assert "operations.process at" in reason and "shoutt" in reason


KITS = ["c-extism", "c-wapc", "as-extism", "as-wapc", "rust-extism", "rust-wapc", "zig-extism", "zig-wapc", "c-wit"]


def test_an_operation_of_any_kit_and_abi_can_be_mapped(nginx, agents, talker):
    """`echo`, which is not of the contract; none of them is asked for info, subscriptions or init."""
    plugins = [
        mapped(built(kit), kit, "echo", input="data", engine="wasmi" if i % 2 and kit != "c-wit" else "wasmtime")
        for i, kit in enumerate(KITS)
        if kit != "c-wit"
    ] + [mapped(built("c-wit"), "c-wit", "echo", input="data")]
    agent = agents(start=False, plugins=[talker, *plugins])
    agent.start(wait=False)
    wait_for(lambda: "msg=ready" in agent.text(), "the agent is ready", seconds=120)
    for kit in KITS:
        assert answer(agent, kit)["data"] == DATA, kit
        assert agent.plugin(kit)["errors"] == 0


def wire(data):
    """The bytes that a guest answered, which were no JSON: a text, or base64 of what is not UTF-8."""
    assert isinstance(data, str)
    return data.encode() if "hello world" in data else base64.b64decode(data, validate=True)


def test_both_encodings(nginx, agents, talker):
    """In protobuf `data` is the topic's message; a field and what is answered are the same in both."""
    agent = agents(
        plugins=[
            talker,
            mapped(built("c-extism"), "data", "echo", input="data", encoding="protobuf"),
            mapped(built("c-wapc"), "field", "echo", input="text", encoding="protobuf"),
            mapped(built("c-wapc"), "message", "echo", encoding="protobuf"),
            entry(built("c-extism"), name="reader", subscribe=["test.out"], grants={"publish": ["test.echo"]}),
        ]
    )
    value = wire(answer(agent, "data")["data"])
    assert value[:1] == b"*" and b"hello world" in value and b"test.in" not in value  # Value.struct_value
    assert answer(agent, "field")["data"] == "hello world"
    envelope = wire(answer(agent, "message")["data"])
    assert b"test.in" in envelope and b"hello world" in envelope
    agent.wait_event("test.echo", lambda e: e["data"] == "hello world")


def test_a_message_without_the_field_is_skipped_and_counted(nginx, agents, talker):
    agent = agents(
        plugins=[
            talker,
            mapped(built("c-extism"), "typo", "echo", input="data.txet"),
            mapped(built("c-extism"), "null", "echo", input="data.thing"),
            mapped(built("c-extism"), "head", "echo", input="source"),
        ]
    )
    wait_for(lambda: (agent.plugin("typo") or {}).get("skipped", 0) > 2, "messages are skipped")
    plugin = agent.plugin("typo")
    assert plugin["errors"] == plugin["dead_letters"] == plugin["calls"] == 0
    balanced(agent, "typo", "null", "head")
    assert answers(agent, "typo") == []
    assert agent.text().count("message skipped, as it has no such field") == 1
    assert answer(agent, "null")["data"] is None  # null is a value
    assert answer(agent, "head")["data"] == "talker"
    assert 'outrider_plugin_skipped_messages_total{plugin="typo"}' in agent.http("/metrics")
    code, out, _ = cli("plugin", "show", "typo", "--socket", agent.socket)
    assert code == 0 and "process → echo" in out.decode() and "data.txet" in out.decode()
    assert "without it skipped" in out.decode()


def test_what_is_not_granted_is_not_published(nginx, agents, talker):
    agent = agents(plugins=[talker, mapped(built("c-extism"), "mute", "echo", granted=False, input="data")])
    wait_for(lambda: (agent.plugin("mute") or {}).get("denials", 0) > 2, "denials are counted")
    assert agent.events("test.out") == []
    _, letters = agent.request("/api/v1/plugins/mute/dead-letters")
    assert "not granted" in letters[-1]["reason"] and letters[-1]["message"]["data"] == DATA
    wait_for(lambda: "no grant covers what the plugin is to publish" in agent.text(), "the log says so")
    balanced(agent, "mute")
    # The grant takes effect with a reload, and so does its end.
    agent.settings["plugins"]["load"][1]["grants"] = {"publish": ["test.out"]}
    agent.write_config()
    agent.signal(signal.SIGHUP)
    answer(agent, "mute")


def test_a_guest_that_fails_leaves_dead_letters_with_both_names(nginx, agents, talker):
    agent = agents(plugins=[talker, mapped(built("c-wapc"), "fails", "fail", input="data")])
    wait_for(lambda: (agent.plugin("fails") or {}).get("dead_letters", 0) > 0, "dead letters")
    _, letters = agent.request("/api/v1/plugins/fails/dead-letters")
    assert letters[0]["reason"] == "process (fail): asked to fail"
    balanced(agent, "fails")
    assert answers(agent, "fails") == []


def test_each_key_takes_effect_with_a_reload(nginx, agents, talker):
    agent = agents(plugins=[talker, mapped(built("c-extism"), "changes", "echo", input="data.text")])
    one = agent.settings["plugins"]["load"][1]

    def change(**settings):
        one.update(settings)
        agent.write_config()
        agent.signal(signal.SIGHUP)

    assert answer(agent, "changes")["data"] == "hello world"
    change(input="data.list.0")
    answer(agent, "changes", lambda e: e["data"] == {"name": "first"})
    change(operations={"process": "count"})
    answer(agent, "changes", lambda e: isinstance(e["data"], int))
    change(version="2.0")
    wait_for(lambda: agent.plugin("changes")["version"] == "2.0", "the version changes")
    change(publish="test.other")
    agent.wait_event("test.other")
    # What is refused leaves all as it was.
    change(operations={"procces": "echo"})
    wait_for(lambda: 'operations: a plugin is not asked \\"procces\\"' in agent.text(), "the reload is refused")
    assert agent.plugin("changes")["state"] == "running"
    change(operations={"process": "ehco"})
    wait_for(lambda: "operations.process at" in agent.plugin("changes")["reason"], "it cannot be loaded")
    assert "ehco" in agent.plugin("changes")["reason"] and agent.plugin("changes")["state"] == "running"
    # Back to the contract: the same file is a plugin of ours.
    for key in ("operations", "version", "input", "publish"):
        del one[key]
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.wait_event("test.echo", lambda e: e["data"] == DATA)


def test_a_name_that_the_guest_does_not_have_is_named_with_the_key(nginx, agents, talker):
    agent = agents(plugins=[mapped(built(VOWELS), "vowels", "cuont_vowels", engine="wasmi")])
    reason = agent.wait_plugin("vowels", "disabled", seconds=60)["reason"]
    for part in ("operations.process", "agent.yaml:", "cuont_vowels", "nearest", "count_vowels"):
        assert part in reason


def test_a_guest_can_answer_hooks_and_init_by_names_of_its_own(nginx, agents):
    agent = agents(
        plugins=[
            mapped(
                built("c-extism"),
                "judge",
                "echo",
                publish=None,
                subscribe=[],
                hooks=["test.ask"],
                input="data.deny",
                operations={"process": "echo", "init": "init", "close": "close"},
                config={"a": 1},
            )
        ]
    )
    running(agent, "judge")

    def ask(data):
        code, out, err = cli("plugin", "ask", "test.ask", "--socket", agent.socket, "--json", "--input", json.dumps(data))
        return code, json.loads(out or b"null"), err

    code, said, err = ask(DATA)
    assert code == 1 and said["verdict"] == "deny" and "not today" in said["reason"], err
    code, said, err = ask({"deny": {"verdict": "allow"}})
    assert code == 0 and said["verdict"] == "allow", err
    code, said, err = ask({})
    assert said["answers"][0]["how"] == "failed" and "no field data.deny" in said["answers"][0]["message"], (said, err)
    assert agent.plugin("judge")["skipped"] == 0
    agent.stop()
    wait_for(lambda: "closed" in agent.text(), "the log says so")


def test_a_guest_whose_version_is_given_is_asked_only_what_is_named(folder, nginx, agents, talker):
    """Its own init is not ours: it would fail."""
    own = extism_guest(process="(call $say)", functions=publish_code("test.out", '"fine"'), init="(unreachable)")
    guest = write_guest(folder, "own", own)
    agent = agents(plugins=[talker, mapped(guest, "own", "process", publish=None)])
    assert answer(agent, "own")["data"] == "fine"
    assert agent.plugin("own")["traps"] == 0


def test_the_command_line_knows_the_entry(nginx, agents, talker):
    agent = agents(start=False, plugins=[mapped(built("c-extism"), "mapped", "echo", input="data.text")])
    of = ("--plugin", "mapped", "--agent-config", agent.conf)
    code, out, err = cli("plugin", "inspect", *of)
    text = out.decode()
    assert code == 0 and "process → echo" in text and "missing (0)" in text and "data.text" in text, err
    code, out, err = cli("plugin", "inspect", *of, "--json")
    assert json.loads(out)["entry"]["operations"] == {"process": "echo"} and json.loads(out)["missing"] == []
    message = json.dumps({"topic": "test.in", "data": DATA})
    code, out, err = cli("plugin", "call", *of, "process", "--input", message)
    assert code == 0 and out == b"hello world" and 'publish test.out "hello world"' in err
    code, out, err = cli("plugin", "call", *of, "process", "--input", '{"data":{}}')
    assert code == 2 and "no field data.text" in err
    code, out, err = cli("plugin", "call", *of, "fail")  # its own name works as ever
    assert code == 1 and "asked to fail" in err
    code, out, err = cli("plugin", "call", "--plugin", "none", "--agent-config", agent.conf, "process")
    assert code == 2 and "mapped" in err
    code, out, err = cli("config", "show", "--config", agent.conf, "--json")
    assert '"process":"echo"' in out.decode() or "'process': 'echo'" in str(json.loads(out))


def test_the_example_of_the_manual_runs(nginx, agents):
    """docs/abi/mapping.md, word for word."""
    text = (ROOT / "docs/abi/mapping.md").read_text()
    example = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    vowels = built(VOWELS)
    agent = agents(start=False)
    (agent.home / "count_vowels.wasm").symlink_to(vowels)
    agent.settings["plugins"]["load"] = example["plugins"]["load"]
    agent.write_config()
    code, out, err = cli("plugin", "inspect", "--plugin", "vowels", "--agent-config", agent.conf)
    assert code == 0 and "missing (0)" in out.decode(), err
    agent.start()
    running(agent, "vowels")
    seen = agent.wait_event("text.vowels")
    path = next(e for e in agent.events("nginx.instance.started") if e["id"] == seen["cause"])["data"]["config"]
    assert seen["data"]["count"] == sum(c in "aeiouAEIOU" for c in path)
