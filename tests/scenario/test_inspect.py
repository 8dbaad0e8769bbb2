"""`plugin inspect` says of a file what the agent would refuse, for every ABI."""

import json

import pytest
import support
from support import cli, entry, extism_guest, write_guest

GUESTS = support.BUILD / "tests" / "guests"
WAPC = """(module (import "wapc" "__guest_request" (func (param i32 i32)))
  (memory (export "{memory}") 1) (func (export "__guest_call") (param {args}) (result i32) (i32.const 0)))"""

REFUSED = {
    "extism-operation": extism_guest(operations=("info", "process")),
    "extism-type": extism_guest(
        operations=("info", "subscriptions"), functions='(func (export "process") (param i64) (result i64) (local.get 0))'
    ),
    "extism-kind": extism_guest(
        operations=("info", "subscriptions"), functions='(global (export "process") i32 (i32.const 0))'
    ),
    "extism-import": extism_guest(imports='(import "extism:host/env" "alloc2" (func (param i64) (result i64)))'),
    "extism-import-type": extism_guest(imports='(import "extism:host/env" "log_info" (func (param i32)))'),
    "wapc-call-type": WAPC.format(memory="memory", args="i32 i64"),
    "wapc-memory": WAPC.format(memory="mem", args="i32 i32"),
    "none": "(module)",
    "no-function": '(module (global (export "g") i32 (i32.const 0)))',
}


def inspect(file, *args):
    code, out, err = cli("plugin", "inspect", file, "--json", *args)
    assert code in (0, 1) and err == "", err
    return code, json.loads(out)


def test_inspect_says_what_the_agent_refuses(folder, agents):
    files = {name: write_guest(folder, name, text) for name, text in REFUSED.items()}
    agent = agents(plugins=[entry(path, name=name) for name, path in files.items()])
    for name, path in files.items():
        reason = agent.wait_plugin(name, "disabled")["reason"]
        missing = inspect(path)[1]["missing"]
        assert missing, name
        for line in missing:
            # An error has one length for all of it.
            assert line[:60] in reason, (name, line, reason)
        text = cli("plugin", "inspect", path)[1].decode()
        assert f"missing ({len(missing)})\n" in text and all(f"  {line}\n" in text for line in missing)
    reason = agent.plugin("none")["reason"]
    assert "exports nothing" in reason
    assert "exports no function" in agent.plugin("no-function")["reason"]


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_what_fits_lacks_nothing(folder, engine):
    for text in (extism_guest(), WAPC.format(memory="memory", args="i32 i32")):
        code, seen = inspect(write_guest(folder, "fits", text), "--engine", engine)
        assert (code, seen["missing"], seen["compiled"], seen["engine"]) == (0, [], True, engine)


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_wasm_that_the_engine_does_not_take_is_reported(folder, engine):
    bad = folder / "bad.wasm"
    bad.write_bytes(b"\0asm\1\0\0\0\x7f\x01\x00")
    code, seen = inspect(bad, "--engine", engine)
    assert (code, seen["compiled"], len(seen["missing"])) == (1, False, 1)
    assert "exports" not in seen
    code, out, _ = cli("plugin", "inspect", bad, "--engine", engine)
    assert code == 1 and b"missing (1)" in out and b"exports" not in out


def test_a_memory_beyond_the_default_limit_is_told(folder):
    code, seen = inspect(write_guest(folder, "large", extism_guest().replace('"memory") 2)', '"memory") 1025)')))
    assert code == 0 and len(seen["missing"]) == 1 and "limits: memory" in seen["missing"][0]


@pytest.mark.skipif(not (GUESTS / "c-wit.wasm").exists(), reason="c-wit is not built: see OTR_GUESTS in tests/guests")
def test_the_exports_of_a_component_have_their_kinds():
    code, seen = inspect(GUESTS / "c-wit.wasm")
    kinds = {x["name"]: x["kind"] for x in seen["exports"]}
    life = next(name for name in kinds if name.startswith("outrider:plugin/lifecycle@") and "#" not in name)
    assert (code, seen["abi"], seen["component"], seen["missing"]) == (0, "wit", True, [])
    assert kinds[life] == "instance" and kinds[f"{life}#process"] == "function"
    assert {x["kind"] for x in seen["imports"]} == {"instance"}
    assert f"{life}#process  function" in cli("plugin", "inspect", GUESTS / "c-wit.wasm")[1].decode()


def test_a_manifest_is_reported_under_its_own_digest(folder):
    guest = write_guest(folder, "main", extism_guest())
    manifest = folder / "m.json"
    manifest.write_text(json.dumps({"wasm": [{"path": guest.name}]}))
    code, seen = inspect(manifest)
    assert (code, seen["size"], seen["missing"]) == (0, manifest.stat().st_size, [])
    manifest.write_text(json.dumps({"wasm": [{"path": "../" + folder.name + "/" + guest.name}]}))
    code, out, err = cli("plugin", "inspect", manifest)
    assert (code, out) == (2, b"") and "leads out of the folder" in err
