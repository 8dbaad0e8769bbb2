"""Questions to plugins, and plugins that live in several instances: as an operator sees them."""

import json
import signal

import support
from support import cli, entry, extism_guest, publish_code, wait_for, write_guest

ALLOW = '{"verdict":"allow","message":"fine"}'
DENY = '{"verdict":"deny","message":"no gzip"}'


def says(answer):
    """The process expression and the functions of a guest that answers `answer`."""
    return dict(
        process=f"(call $answer (i32.const 16384) (i32.const {len(answer)})) (i32.const 0)",
        functions=f'(data (i32.const 16384) "{support.escape(answer)}")',
    )


def hook(folder, name, topics=("nginx.config.validate",), answer=ALLOW, **changes):
    subs = json.dumps({"topics": [{"pattern": t, "kind": "hook"} for t in topics]})
    return write_guest(folder, name, extism_guest(subscriptions=subs, **{**says(answer), **changes}))


def ask(agent, *args, topic="nginx.config.validate", **options):
    """Returns (exit code, the result)."""
    code, out, err = cli("plugin", "ask", topic, "--json", "--socket", agent.socket, *args, **options)
    assert out, (code, err)
    return code, json.loads(out)


def test_nobody_to_ask_is_a_failure_unless_that_is_fine(agents):
    agent = agents()
    code, out, err = cli("plugin", "ask", "nginx.config.validtae", "--socket", agent.socket)
    assert (code, out) == (2, b"")
    assert "no plugin has a hook for nginx.config.validtae" in err and "--allow-none" in err
    code, result = ask(agent, "--allow-none")
    assert code == 0 and result["verdict"] == "allow" and result["answers"] == []


def test_one_of_two_hooks_denies(folder, agents):
    agent = agents(plugins=[entry(hook(folder, "yes")), entry(hook(folder, "no", answer=DENY))])
    code, result = ask(agent, "--input", '{"file":"/etc/nginx/nginx.conf"}')
    assert code == 1 and result["verdict"] == "deny"
    assert [(a["plugin"], a["verdict"], a["how"]) for a in result["answers"]] == [
        ("yes", "allow", "answered"),
        ("no", "deny", "answered"),
    ]
    assert result["reason"] == 'plugin "no" denies: no gzip'
    code, out, _ = cli("plugin", "ask", "nginx.config.validate", "--socket", agent.socket)
    assert code == 1 and b"no gzip" in out and b"yes" in out
    seen = agent.plugin("no")
    assert (seen["hooks_asked"], seen["hooks_denied"], seen["hooks_unanswered"]) == (2, 2, 0)
    assert seen["hooks"] == ["nginx.config.validate"] and seen["subscribes"] == []
    assert 'outrider_plugin_hooks_asked_questions_total{plugin="no"} 2' in agent.http("/metrics")


def test_an_answer_stands_when_the_guest_ends_with_exit_code_0(folder, agents):
    """A main function that denies and ends is no failure, and counts as what it said."""
    leaves = dict(
        imports='(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))',
        process=f"{says(DENY)['process'][:-len('(i32.const 0)')]} (call $exit (i32.const 0)) (i32.const 1)",
    )
    agent = agents(plugins=[entry(hook(folder, "leaves", answer=DENY, **leaves))])
    for _ in range(2):
        code, result = ask(agent)
        assert code == 1 and result["verdict"] == "deny"
        assert [(a["how"], a["verdict"]) for a in result["answers"]] == [("answered", "deny")]
    seen = agent.plugin("leaves")
    assert (seen["hooks_denied"], seen["traps"]) == (2, 0)


def test_an_error_text_is_the_reason_whatever_the_result(folder, agents):
    gives_up = dict(
        process="(call $error_set (call $copy (i32.const 16384) (i32.const 8))) (unreachable)",
        functions='(data (i32.const 16384) "I cannot")',
    )
    agent = agents(plugins=[entry(hook(folder, "gives-up", **gives_up), on_failure="fail-closed")])
    code, result = ask(agent)
    assert code == 1 and result["answers"][0]["how"] == "failed"
    assert "I cannot: " in json.dumps(result) and "unreachable" in json.dumps(result)


def test_a_question_comes_from_a_file_or_standard_input(folder, agents):
    agent = agents(plugins=[entry(hook(folder, "yes"))])
    (folder / "q.json").write_text('{"a":1}')
    assert ask(agent, "--input", f"@{folder}/q.json")[0] == 0
    assert ask(agent, "--input", "-", stdin=b"[1,2]")[0] == 0
    code, out, err = cli("plugin", "ask", "nginx.config.validate", "--input", "{", "--socket", agent.socket)
    assert code == 2 and "JSON" in err
    code, out, err = cli("plugin", "ask", "a b", "--socket", agent.socket)
    assert code == 2 and "no topic" in err
    code, out, err = cli("plugin", "ask", "a.b", "--deadline", "2h", "--socket", agent.socket)
    assert code == 2 and "60s" in err


def test_a_guest_that_loops_in_a_hook_is_answered_for_at_the_deadline(folder, agents):
    loops = hook(folder, "loops", process="(loop $l (br $l)) (i32.const 0)", functions="")
    agent = agents(plugins=[entry(loops, limits={"call": "3s"}, on_failure="fail-closed")])
    code, result = ask(agent, "--deadline", "100ms")
    assert code == 1
    assert result["answers"][0]["how"] == "timed out"
    assert 'plugin "loops" is fail-closed' in result["reason"]
    seen = wait_for(lambda: (p := agent.plugin("loops"))["timeouts"] == 1 and p, "its call limit ends it")
    assert seen["hooks_unanswered"] == 1


def test_a_fail_closed_guest_denies_while_it_is_down(folder, agents):
    traps = hook(folder, "traps", process="(unreachable)", functions="")
    settings = dict(on_failure="fail-closed", restart={"backoff": "1m", "backoff_max": "1m", "failures": 2})
    agent = agents(plugins=[entry(traps, **settings)])
    code, result = ask(agent)
    assert code == 1 and result["answers"][0]["how"] == "failed"
    agent.wait_plugin("traps", "backoff")
    code, result = ask(agent)
    assert code == 1 and "backoff" in result["reason"]
    assert cli("plugin", "disable", "traps", "--socket", agent.socket)[0] == 0
    code, result = ask(agent)
    assert code == 1 and "operator" in result["reason"]
    hook(folder, "traps")
    assert cli("plugin", "enable", "traps", "--socket", agent.socket)[0] == 0
    agent.wait_plugin("traps", "running")
    assert ask(agent)[0] == 0


def test_a_plugin_in_quarantine_is_shown_and_comes_back(folder, agents):
    traps = hook(folder, "traps", process="(unreachable)", functions="")
    agent = agents(plugins=[entry(traps, restart={"failures": 1})])
    code, result = ask(agent)
    assert code == 0 and result["answers"][0]["how"] == "failed"  # not fail-closed: reported, and allowed
    seen = agent.wait_plugin("traps", "disabled")
    assert seen["quarantined"] and seen["reason"].startswith("quarantined: 1 failure")
    hook(folder, "traps")
    assert cli("plugin", "enable", "traps", "--socket", agent.socket)[0] == 0
    assert not agent.wait_plugin("traps", "running")["quarantined"]


def reload(agent):
    return agent.request("/api/v1/reload", method="POST")


def test_a_plugin_keeps_a_configuration_from_being_taken(folder, agents):
    guard = hook(folder, "guard", topics=("agent.config.validate",), answer=DENY)
    agent = agents(plugins=[entry(guard)])
    agent.settings["plugins"]["load"].append(entry(write_guest(folder, "extra", extism_guest())))
    agent.write_config()
    status, body = reload(agent)
    assert status == 403 and 'plugin "guard" denies: no gzip' in body["error"]["message"]
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.text().count("keeping old config") == 2, "the denial is logged")
    assert agent.plugin("extra") is None
    assert agent.api("status")["config"]["generation"] == 0
    hook(folder, "guard", topics=("agent.config.validate",))
    assert cli("plugin", "reload", "guard", "--socket", agent.socket)[0] == 0
    wait_for(lambda: reload(agent)[0] == 200, "the new version allows")
    agent.wait_plugin("extra", "running")


def test_a_fail_closed_plugin_that_cannot_load_does_not_lock_the_operator_out(folder, agents):
    agent = agents(plugins=[entry(folder / "gone.wasm", name="guard", on_failure="fail-closed")])
    agent.wait_plugin("guard", "disabled")
    assert ask(agent)[0] == 1  # whatever is asked: nobody knows its hooks
    agent.settings["plugins"]["load"] = [entry(hook(folder, "guard"))]
    agent.write_config()
    assert reload(agent)[0] == 200
    agent.wait_plugin("guard", "running")
    assert ask(agent)[0] == 0


def test_four_instances_with_one_trapping(folder, nginx, agents):
    """The instance that meets the first message traps; it comes back and the others go on."""
    guest = write_guest(
        folder,
        "team",
        extism_guest(process="(call $say)", functions=publish_code("test.team", "1"), topics=("nginx.metrics.sampled", "agent.config.reloaded")),
    )
    agent = agents(plugins=[entry(guest, instances=4, grants={"publish": ["test.*"]})])
    wait_for(lambda: (p := agent.plugin("team")) and p["instances_running"] == 4, "all four run")
    agent.wait_event("test.team")
    code, out, _ = cli("plugins", "--socket", agent.socket)
    assert b"running 4/4" in out
    traps = extism_guest(
        process="(if (i64.gt_u (call $input_length) (i64.const 400)) (then (unreachable))) (call $say)",
        functions=publish_code("test.team", "1"),
        subscriptions=json.dumps({"topics": ["nginx.metrics.sampled", {"pattern": "poison.*", "kind": "hook"}]}),
    )
    write_guest(folder, "team", traps.replace("(i64.const 400)", "(i64.const 4000)"))
    assert cli("plugin", "reload", "team", "--socket", agent.socket)[0] == 0
    wait_for(lambda: agent.plugin("team")["hooks"] == ["poison.*"], "the new version")
    code, result = ask(agent, "--input", json.dumps("x" * 5000), topic="poison.pill")
    assert result["answers"][0]["how"] == "failed"
    before = agent.plugin("team")
    assert before["traps"] == 1 and before["state"] == "running"
    wait_for(lambda: (p := agent.plugin("team"))["restarts"] == 1 and p["instances_running"] == 4, "it comes back")
    wait_for(lambda: agent.plugin("team")["published"] > before["published"] + 2, "the others went on")


def test_plugins_come_up_in_order_and_a_ring_is_refused(folder, agents):
    say = dict(init="(call $say)", functions=publish_code("test.up", "1"), topics=())
    a, b = (write_guest(folder, name, extism_guest(**say)) for name in "ab")
    grants = {"publish": ["test.*"]}
    agent = agents(plugins=[entry(b, after=["a"], grants=grants), entry(a, grants=grants)])
    agent.wait_plugin("b", "running")
    events = wait_for(lambda: len(e := agent.events("test.up")) == 2 and e, "both came up")
    assert [e["source"] for e in events] == ["a", "b"]
    agent.settings["plugins"]["load"][1]["after"] = ["b"]
    agent.write_config()
    status, body = reload(agent)
    assert status == 400 and "ring" in body["error"]["message"] and str(agent.conf) in body["error"]["message"]


def test_the_example_guard_keeps_foreign_plugins_out(folder, agents):
    wasm = support.BUILD / "plugins" / "config-guard.wasm"
    inside = folder / "plugins"
    inside.mkdir()
    (inside / "guard.wasm").write_bytes(wasm.read_bytes())
    guard = entry(inside / "guard.wasm", config={"directory": str(inside)}, on_failure="fail-closed")
    agent = agents(plugins=[guard])
    agent.wait_plugin("guard", "running")
    assert reload(agent)[0] == 200
    for path in (folder / "extra.wat", inside / ".." / "extra.wat"):
        write_guest(folder, "extra", extism_guest())
        agent.settings["plugins"]["load"] = [guard, entry(path)]
        agent.write_config()
        status, body = reload(agent)
        assert status == 403 and f"plugin extra does not lie in {inside}/" in body["error"]["message"]
    write_guest(inside, "extra", extism_guest())
    agent.settings["plugins"]["load"] = [guard, entry(inside / "extra.wat")]
    agent.write_config()
    assert reload(agent)[0] == 200
    agent.wait_plugin("extra", "running")


INFO = '{"name":"t","version":"1.0.0","api":"1"}'
SUBS = '[{"pattern":"nginx.config.validate","kind":"hook"}]'


def wapc_text(answer):
    """info, subscriptions and process are told apart by their first letter."""
    texts = {"i": (0, INFO), "s": (256, SUBS), "p": (512, answer)}
    data = "".join(f'(data (i32.const {at}) "{support.escape(t)}")' for at, t in texts.values())
    cases = "".join(
        f"(if (i32.eq (i32.load8_u (i32.const 2048)) (i32.const {ord(c)}))"
        f" (then (call $response (i32.const {at}) (i32.const {len(t)}))))"
        for c, (at, t) in texts.items()
    )
    return f"""(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 2) {data}
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $request (i32.const 2048) (i32.const 4096)) {cases} (i32.const 1)))"""


def wit_text(answer):
    texts = {"info": (100, INFO), "subscriptions": (256, SUBS), "process": (512, answer)}
    data = "".join(f'(data (i32.const {at}) "{support.escape(t)}")' for at, t in texts.values())
    text = "".join(
        f"""(func (export "{name}") (result i32) (i32.store (i32.const 16) (i32.const {at}))
              (i32.store (i32.const 20) (i32.const {len(t)})) (i32.const 16))"""
        for name, (at, t) in texts.items()
        if name != "process"
    )
    return f"""(component
  (core module $m (memory (export "memory") 2) {data}
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    {text}
    (func (export "process") (param i32 i32) (result i32) (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 512)) (i32.store (i32.const 24) (i32.const {len(answer)})) (i32.const 16)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $mem))
  (func $info (result string) (canon lift (core func $i "info") (memory $mem)))
  (func $subs (result string) (canon lift (core func $i "subscriptions") (memory $mem)))
  (func $process (param "message" (list u8)) (result (result (list u8) (error string)))
    (canon lift (core func $i "process") (memory $mem) (realloc (func $i "realloc"))))
  (instance $l (export "info" (func $info)) (export "subscriptions" (func $subs)) (export "process" (func $process)))
  (export "outrider:plugin/lifecycle@1.0.0" (instance $l)))"""


def test_guests_of_every_abi_answer(folder, agents):
    texts = {"extism": None, "wapc": wapc_text(ALLOW), "wit": wit_text(DENY)}
    load = [entry(write_guest(folder, n, t) if t else hook(folder, n)) for n, t in texts.items()]
    agent = agents(plugins=load)
    for name in texts:
        assert agent.wait_plugin(name, "running")["abi"] == name
    code, result = ask(agent)
    assert code == 1
    assert [(a["plugin"], a["verdict"], a["how"], a["message"]) for a in result["answers"]] == [
        ("extism", "allow", "answered", "fine"),
        ("wapc", "allow", "answered", "fine"),
        ("wit", "deny", "answered", "no gzip"),
    ]
