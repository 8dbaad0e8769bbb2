"""Plugins are compiled in a process of their own, into a cache that the agent then reads."""

import os
import pathlib
import time

import support
from support import cli, wait_for


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(stat[1]) == pid and stat[0] != "Z":
                    found.append((int(entry.name), (entry / "cmdline").read_bytes().split(b"\0")))
            except (OSError, ValueError, IndexError):
                continue
    return found


def large_guest(functions=3000):
    """A plugin that takes the compiler seconds: one function after another, none of them alike."""
    bodies = []
    for k in range(functions):
        steps = "".join(
            f"(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const {k * 7 + j})) (i32.rotl (local.get 0) (i32.const {j}))))"
            for j in range(40)
        )
        bodies.append(f"(func $f{k} (param i32) (result i32) {steps} (local.get 0))")
    return support.extism_guest(functions="\n".join(bodies))


def artefacts(cache):
    return sorted(p.name for p in pathlib.Path(cache).iterdir() if p.is_file() and not p.name.startswith("."))


def test_a_plugin_is_compiled_by_a_child_and_runs(folder, agents):
    guest = support.write_guest(folder, "small", support.extism_guest())
    agent = agents(plugins=[support.entry(guest)])
    agent.wait_plugin("small", "running")
    assert artefacts(agent.home / "cache"), "the child filled the cache"
    assert "compiling in the agent itself" not in agent.text()
    assert not children(agent.process.pid), "no child is left"


def test_a_file_that_is_no_module_is_refused_with_the_compilers_words(folder, agents):
    bad = folder / "bad.wasm"
    bad.write_bytes(b"\0asm\1\0\0\0" + b"\x0b\xff\xff\xff\xff\x0f")
    agent = agents(plugins=[support.entry(bad, name="bad")])
    seen = agent.wait_plugin("bad", "disabled")
    assert "not a valid Wasm module" in seen["reason"]


def test_a_compilation_past_its_limit_is_ended_and_says_so(folder, agents):
    guest = support.write_guest(folder, "large", large_guest())
    fine = support.write_guest(folder, "fine", support.extism_guest())
    agent = agents(start=False, plugins=[support.entry(fine), support.entry(guest, on_failure="disable")])
    agent.settings["plugins"]["compile_limit"] = "300ms"
    agent.write_config()
    agent.start()
    seen = agent.wait_plugin("large", "disabled")
    assert "plugins.compile_limit" in seen["reason"]
    wait_for(lambda: not children(agent.process.pid), "the child is gone")


def test_the_agent_ends_at_once_while_a_plugin_is_compiled(folder, agents):
    guest = support.write_guest(folder, "large", large_guest())
    agent = agents(start=False, plugins=[support.entry(guest)])
    agent.start(wait=False)
    child = wait_for(lambda: [c for c in children(agent.process.pid) if b"compile" in c[1]], "a compiler runs")
    code, seconds = agent.stop()
    assert code == 0
    assert seconds < 10.0
    assert not support.alive(child[0][0])


def test_the_compiler_dies_with_an_agent_that_is_killed(folder, agents):
    guest = support.write_guest(folder, "large", large_guest())
    agent = agents(start=False, plugins=[support.entry(guest)])
    agent.start(wait=False)
    child = wait_for(lambda: children(agent.process.pid), "a compiler runs")[0][0]
    wait_for(lambda: b"compile" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes(), "it is the compiler")
    time.sleep(0.3)  # it has said by now that it wants to die with its parent
    agent.process.kill()
    agent.process.wait()
    wait_for(lambda: not support.alive(child), "the compiler ended, too")


def test_a_killed_compiler_is_tried_again(folder, agents):
    guest = support.write_guest(folder, "large", large_guest())
    agent = agents(start=False, plugins=[support.entry(guest)])
    agent.start(wait=False)
    child = wait_for(lambda: children(agent.process.pid), "a compiler runs")[0][0]
    os.kill(child, 9)
    agent.wait_plugin("large", "running", 3 * support.PATIENCE)
    wait_for(lambda: "ended by signal 9" in agent.text(), "the log says so")


def test_a_cache_filled_by_hand_is_what_the_agent_uses(folder, agents):
    guest = support.write_guest(folder, "ahead", support.extism_guest())
    agent = agents(start=False, plugins=[support.entry(guest)])
    cache = agent.home / "cache"
    assert cli("plugin", "compile", guest, "--cache", cache)[0] == 0
    before = artefacts(cache)
    assert before
    agent.start()
    agent.wait_plugin("ahead", "running")
    assert artefacts(cache) == before


def test_compile_says_what_is_wrong(folder):
    bad = folder / "bad.wasm"
    bad.write_bytes(b"nonsense")
    code, _, err = cli("plugin", "compile", bad, "--cache", folder / "cache")
    assert code == 1 and "bad.wasm" in err and "neither a Wasm binary nor Wasm text" in err
    code, _, err = cli("plugin", "compile", bad)
    assert code == 2 and "--cache DIR" in err
    code, _, err = cli("plugin", "compile", folder / "none.wasm", "--cache", folder / "cache")
    assert code == 2 and "none.wasm" in err
    code, _, err = cli("plugin", "compile", bad, "--cache", folder / "cache", "--engine", "wasmi")
    assert code == 2 and "only wasmtime" in err


def test_a_proposal_that_an_engine_lacks_is_named_in_the_status(folder, agents):
    throws = support.extism_guest(functions='(tag $e) (func (export "throws") (result i32) (throw $e))')
    pages = support.extism_guest(functions="(memory 1 1 (pagesize 1))")
    agent = agents(plugins=[
        support.entry(support.write_guest(folder, "throws", throws), engine="wasmi"),
        support.entry(support.write_guest(folder, "pages", pages)),
    ])
    reason = agent.wait_plugin("throws", "disabled")["reason"]
    assert "uses the exceptions proposal, which the engine wasmi does not have: use engine: wasmtime" in reason
    assert "uses the custom page sizes proposal, which no engine here has" in agent.wait_plugin("pages", "disabled")["reason"]
