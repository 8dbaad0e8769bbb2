"""Small stacks (`ulimit -s`, systemd's LimitSTACK=): a guest that recurses traps, and nothing else ends."""

import pytest
from support import SMALL_STACK, cli, entry, extism_guest, write_guest

DEEP = """
  (func $deep (param i64 i64 i64 i64 i64 i64) (result i64)
    (i64.add (call $deep (local.get 1) (local.get 0) (local.get 3) (local.get 2) (local.get 5) (local.get 4))
             (local.get 0)))
  (func $f (result i32) (i32.wrap_i64
    (call $deep (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6))))"""
EXTISM = extism_guest(
    process="(call $f)",
    functions=DEEP,
    subscriptions='{"topics":[{"pattern":"deep.*","kind":"hook"}]}',
    info='{"name":"deep","version":"1.0.0","api":"1"}',
)
WAPC = f"""(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (memory (export "memory") 1) {DEEP}
  (func (export "__guest_call") (param i32 i32) (result i32) (call $f)))"""
WIT = f"""(component
  (core module $m (memory (export "memory") 1) {DEEP}
    (func (export "process") (param i32 i32) (result i32) (call $f))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (func (export "process") (param "in" (list u8)) (result (list u8))
    (canon lift (core func $i "process") (memory $memory) (realloc (func $i "realloc")))))"""
GUESTS = {"extism": EXTISM, "wapc": WAPC, "wit": WIT}
RUNS = [("extism", "wasmtime"), ("extism", "wasmi"), ("wapc", "wasmtime"), ("wapc", "wasmi"), ("wit", "wasmtime")]


@pytest.mark.parametrize("abi, engine", RUNS)
@pytest.mark.parametrize("command", ["call", "bench"])
def test_recursion_is_a_trap_on_a_small_stack(folder, command, abi, engine):
    guest = write_guest(folder, abi, GUESTS[abi])
    more = ["--seconds", "0.1"] if command == "bench" else []
    code, _, err = cli("plugin", command, guest, "process", "--engine", engine, *more, wrap=SMALL_STACK)
    assert code == 1, (code, err)
    assert "call stack exhausted" in err


def nested(depth):
    return extism_guest(functions=f"(func $nest {'(block ' * depth} {')' * depth})")


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_a_guest_is_inspected_and_compiled_on_a_small_stack(folder, engine):
    guest = write_guest(folder, "nested", nested(800))
    code, _, err = cli("plugin", "inspect", guest, "--engine", engine, wrap=SMALL_STACK)
    assert (code, err) == (0, "")
    if engine == "wasmtime":
        (folder / "cache").mkdir()
        code, _, err = cli("plugin", "compile", guest, "--cache", folder / "cache", wrap=SMALL_STACK)
        assert (code, err) == (0, "")
        assert any((folder / "cache").iterdir())


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_an_agent_with_a_small_stack_outlives_recursion(folder, agents, engine):
    guest = write_guest(folder, "deep", EXTISM)
    agent = agents(start=False, plugins=[entry(guest, engine=engine)])
    agent.wrap = SMALL_STACK
    agent.start()
    agent.wait_plugin("deep", "running")
    code, out, err = cli("plugin", "ask", "deep.down", "--input", "{}", "--socket", agent.socket)
    assert "call stack exhausted" in agent.text(), (code, out, err)
    assert not agent.ended()
