"""Plugins of several modules: Extism's JSON manifest, `modules:` of the configuration, the command line."""

import base64
import hashlib
import json
import signal

import pytest

import tls
from support import cli, entry, extism_guest, publish_code, wait_for, write_guest

UTIL = """(module
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (func (export "letter") (result i64) (local $at i64)
    (local.set $at (call $alloc (i64.const 1)))
    (call $store_u8 (local.get $at) (i32.const {letter}))
    (local.get $at))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
"""
IMPORTS = """(import "util" "letter" (func $letter (result i64)))
  (import "util" "add" (func $add (param i32 i32) (result i32)))
  (import "extism:host/env" "config_get" (func $config_get (param i64) (result i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))"""
FUNCTIONS = """
  (func (export "letter") (result i32) (call $output_set (call $letter) (i64.const 1)) (i32.const 0))
  (func (export "config") (result i32) (local $v i64)
    (local.set $v (call $config_get (call $input_offset)))
    (call $output_set (local.get $v) (call $length (local.get $v))) (i32.const 0))
  (func (export "sum") (param i32 i64 f32 f64) (result f64)
    (f64.add (f64.convert_i32_s (call $add (local.get 0) (i32.wrap_i64 (local.get 1))))
             (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))
  (func (export "pair") (result i64 i32) (i64.const -1) (i32.const 7))
  (func (export "fails") (param i32) (unreachable))
"""


@pytest.fixture
def parts(folder):
    """The guest's text, and the folder with both files."""
    text = extism_guest(imports=IMPORTS, functions=FUNCTIONS + publish_code("test.module", '"M"'),
                        process="(call $say)", topics=("nginx.metrics.sampled",))
    write_guest(folder, "guest", text)
    write_guest(folder, "util", UTIL.format(letter=65))
    return folder


def manifest(folder, **more):
    path = folder / "plugin.json"
    modules = more.pop("wasm", [{"name": "util", "path": "util.wat"}, {"path": "guest.wat"}])
    path.write_text(json.dumps({"wasm": modules, **more}))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_a_manifest_is_called_like_a_module(parts, engine):
    path = manifest(parts, config={"k": "from the manifest"})
    assert cli("plugin", "call", path, "letter", "--engine", engine) == (0, b"A", "")
    assert cli("plugin", "call", path, "config", "--input", "k", "--engine", engine)[1] == b"from the manifest"
    assert cli("plugin", "call", path, "config", "--input", "k", "--config", "k=mine", "--engine", engine)[1] == b"mine"


def test_data_and_hashes_are_taken(parts):
    data = base64.b64encode((parts / "util.wat").read_bytes()).decode()
    good = [{"name": "util", "data": data, "hash": sha256(parts / "util.wat")},
            {"name": "main", "path": str(parts / "guest.wat")}]
    assert cli("plugin", "call", manifest(parts, wasm=good), "letter")[:2] == (0, b"A")
    good[0]["hash"] = "0" * 64
    code, _, err = cli("plugin", "call", manifest(parts, wasm=good), "letter")
    assert code == 2 and "wasm[0]: hash: the file has" in err


def test_a_bad_manifest_says_what_is_wrong(parts):
    for more, words in (
        ({"wasm": [{"url": "https://example.org/a.wasm"}]}, "wasm[0]: url: modules are not fetched here"),
        ({"wasm": [{"path": "gone.wasm"}]}, "gone.wasm"),
        ({"allowed_hostss": []}, "allowed_hostss: no such key"),
        ({"timeout_ms": "fast"}, "timeout_ms: expected a whole number"),
    ):
        code, _, err = cli("plugin", "call", manifest(parts, **more), "letter")
        assert code == 2 and words in err and "plugin.json" in err
    text = parts / "half.json"
    text.write_text('{"wasm": [')
    code, _, err = cli("plugin", "call", text, "letter")
    assert code == 2 and "half.json: Extism manifest:" in err


def test_timeout_ms_ends_a_call(parts):
    write_guest(parts, "spin", '(module (func (export "spin") (loop $l (br $l))))')
    path = manifest(parts, wasm=[{"path": "spin.wat"}], timeout_ms=50)
    code, _, err = cli("plugin", "call", path, "spin", "--timeout", "60000")
    assert code == 1 and "deadline" in err


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_modules_and_values_on_the_command_line(parts, engine):
    guest, util = parts / "guest.wat", f"util={parts / 'util.wat'}"
    call = ("plugin", "call", guest, "--module", util, "--engine", engine)
    assert cli(*call, "letter")[:2] == (0, b"A")
    assert cli(*call, "sum", "--args", "i32:-3,i64:0x10,f32:0.5,f64:1e3")[:2] == (0, b"f64:1013.5\n")
    assert cli(*call, "pair", "--args", "")[:2] == (0, b"i64:-1,i32:7\n")
    code, _, err = cli(*call, "sum", "--args", "i32:1")
    assert code != 0 and "the function sum is (i32, i64, f32, f64) -> f64; it was given (i32)" in err
    code, _, err = cli(*call, "fails", "--args", "i32:1")
    assert code == 1 and "unreachable" in err
    for wrong in ("i33:1", "i32:4294967296", "i32:-2147483649", "i32:", "f64:x", "i32:1,,i32:2", "1"):
        code, _, err = cli(*call, "sum", "--args", wrong)
        assert code != 0 and "is no value" in err
    code, _, err = cli("plugin", "call", guest, "letter", "--engine", engine)
    assert code == 2 and "import util.letter: function () -> i64 is not offered" in err


def test_inspect_shows_every_module(parts):
    code, out, _ = cli("plugin", "inspect", manifest(parts))
    assert code == 0 and b"module util" in out and b"letter" in out
    seen = json.loads(cli("plugin", "inspect", manifest(parts), "--json")[1])
    assert [m["name"] for m in seen["modules"]] == ["util"] and seen["missing"] == []


# ---- in the agent ----


def test_the_agent_links_modules_of_its_configuration(parts, nginx, agents):
    modules = [{"name": "util", "source": str(parts / "util.wat"), "sha256": sha256(parts / "util.wat")}]
    guest = entry(parts / "guest.wat", modules=modules, grants={"publish": ["test.*"]}, limits={"zero": "never"})
    agent = agents(plugins=[guest])
    assert agent.wait_event("test.module")["data"] == "M"


def test_a_linked_module_that_is_not_the_pinned_one_is_refused(parts, nginx, agents):
    modules = [{"name": "util", "source": str(parts / "util.wat"), "sha256": "0" * 64}]
    agent = agents(plugins=[entry(parts / "guest.wat", modules=modules)])
    seen = agent.wait_plugin("guest", "disabled")
    assert "module util:" in seen["reason"] and "sha256" in seen["reason"]


def test_the_agent_loads_a_manifest_and_sees_a_changed_module(parts, nginx, agents):
    agent = agents(plugins=[entry(manifest(parts), name="many", grants={"publish": ["test.*"]})])
    agent.wait_event("test.module")
    (parts / "util.wat").write_text(UTIL.replace('"letter"', '"gone"').format(letter=66))
    agent.signal(signal.SIGHUP)
    wait_for(lambda: "import util.letter: function () -> i64 is not offered" in agent.text(), "the change is seen")
    published = agent.plugin("many")["published"]
    wait_for(lambda: agent.plugin("many")["published"] > published, "the old code goes on")


def test_folders_that_no_grant_names_are_refused(parts, nginx, agents):
    agent = agents(plugins=[entry(manifest(parts, allowed_paths={"/etc": "/etc"}), name="nosy",
                                  grants={"paths": [{"host": str(parts)}]})])
    seen = agent.wait_plugin("nosy", "disabled")
    assert "names /etc, which grants.paths" in seen["reason"]


# ---- by https ----


@pytest.fixture
def server(tmp_path_factory):
    authority = tls.Authority(tmp_path_factory.mktemp("tls"))
    made = tls.Server(authority)
    made.ca = authority.ca
    yield made
    made.stop()


def fetching(agents, server, parts, guest):
    """An agent that trusts the server, with this one plugin."""
    plugins = {"cache": str(parts / "cache"), "downloads": str(parts / "downloads"),
               "trust": {"ca": str(server.ca)}, "load": [guest]}
    return agents(config={"plugins": plugins}, env={"no_proxy": "*", "NO_PROXY": "*"})


def test_a_linked_module_is_fetched_when_it_is_pinned(parts, nginx, agents, server):
    server.files["/util.wat"] = (parts / "util.wat").read_bytes()
    module = {"name": "util", "source": server.url("/util.wat"), "sha256": sha256(parts / "util.wat")}
    guest = entry(parts / "guest.wat", modules=[module], grants={"publish": ["test.*"]})
    agent = fetching(agents, server, parts, guest)
    assert agent.wait_event("test.module")["data"] == "M"
    assert len(server.seen) == 1


def test_a_manifest_that_is_pinned_fetches_what_it_hashes(parts, nginx, agents, server):
    server.files["/util.wat"] = (parts / "util.wat").read_bytes()
    wasm = [{"name": "util", "url": server.url("/util.wat"), "hash": sha256(parts / "util.wat")},
            {"path": "guest.wat", "hash": sha256(parts / "guest.wat")}]
    path = manifest(parts, wasm=wasm)
    agent = fetching(agents, server, parts, entry(path, sha256=sha256(path), grants={"publish": ["test.*"]}))
    assert agent.wait_event("test.module")["data"] == "M"


def test_a_manifest_that_nobody_vouches_for_fetches_nothing(parts, nginx, agents, server):
    wasm = [{"url": server.url("/util.wat"), "hash": sha256(parts / "util.wat")}]
    agent = fetching(agents, server, parts, entry(manifest(parts, wasm=wasm), name="many"))
    seen = agent.wait_plugin("many", "disabled")
    assert "vouched for by nobody" in seen["reason"] and server.seen == []
