"""What the operator writes is what holds from the answer to a reload on, whichever code is in the plugin."""

import base64
import contextlib
import hashlib
import http.server
import json
import os
import signal
import threading
import time

import pytest

from support import cli, entry, escape, extism_guest, publish_code, wait_for, write_guest

TOKEN = '{"verdict":"deny","message":"s3cret"}'
NONE = '{"verdict":"allow","message":"none"}'
IMPORTS = """
  (import "extism:host/user" "outrider_call" (func $host (param i64 i64) (result i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "var_get" (func $var_get (param i64) (result i64)))
  (import "extism:host/env" "var_set" (func $var_set (param i64 i64)))
"""
HOLDER = f"""
  (data (i32.const 4096) "env.getTOKEN")
  (data (i32.const 8192) "{escape(NONE)}")
  (func $token (result i64)
    (call $host (call $copy (i32.const 4096) (i32.const 7)) (call $copy (i32.const 4103) (i32.const 5))))
  (func $key (result i64) (call $copy (i32.const 4103) (i32.const 1)))
  (func $spin (param $n i32) (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))
  (func $say (param $v i64) (result i32)
    (if (i64.eqz (local.get $v)) (then (call $answer (i32.const 8192) (i32.const {len(NONE)})))
      (else (call $output_set (local.get $v) (call $length (local.get $v))))) (i32.const 0))"""
HOOK = dict(imports=IMPORTS, functions=HOLDER, subscriptions='{"topics":[{"pattern":"ask.it","kind":"hook"}]}')
KINDS = {
    # asks at each question, and will not begin without the grant
    "asks": dict(init="(i64.eqz (call $token))", process="(call $say (call $token))"),
    # has it from init() and asks no more
    "remembers": dict(
        init="(local $v i64) (local.set $v (call $token)) (if (i64.ne (local.get $v) (i64.const 0))"
        " (then (call $var_set (call $key) (local.get $v)))) (i32.const 0)",
        process="(call $say (call $var_get (call $key)))",
    ),
}


def reload(agent, plugins, **section):
    """Writes the configuration, reloads it and returns what became of each plugin."""
    agent.settings["plugins"].update(load=plugins, **section)
    agent.write_config()
    status, body = agent.request("/api/v1/reload", "POST")
    assert status == 200, body
    return {p["name"]: p for p in body["plugins"]}


def ask(agent):
    return agent.request("/api/v1/hooks/ask.it?deadline_ms=5000", "POST")[1]


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_grant_that_is_taken_away_is_gone_at_once(folder, agents, kind, engine):
    path = write_guest(folder, "p", extism_guest(**HOOK, **KINDS[kind]))
    one = entry(path, engine=engine)
    agent = agents(plugins=[{**one, "grants": {"env": ["TOKEN"]}}], env={"TOKEN": TOKEN})
    assert ask(agent)["answers"][0]["message"] == "s3cret"
    said = reload(agent, [one])["p"]
    assert said["result"] == "restarted" and said["applied"] == ["grants.env"] and said["pending"] == []
    for _ in range(20):
        assert "s3cret" not in json.dumps(ask(agent))
    agent.wait_plugin("p", "disabled" if kind == "asks" else "running")
    assert "s3cret" not in json.dumps(ask(agent))
    assert reload(agent, [{**one, "grants": {"env": ["TOKEN"]}}])["p"]["result"] == "loading"
    wait_for(lambda: "s3cret" in json.dumps(ask(agent)), "the grant is back")


def test_a_load_under_way_was_begun_under_the_old_policy(folder, agents):
    slow = KINDS["remembers"]["init"].replace("i64) ", "i64) (call $spin (i32.const 150000000)) ", 1)
    path = write_guest(folder, "p", extism_guest(**HOOK, init=slow, process=KINDS["remembers"]["process"]))
    one = entry(path, limits={"init": "20s"})
    agent = agents(plugins=[{**one, "grants": {"env": ["TOKEN"]}}], env={"TOKEN": TOKEN}, start=False)
    agent.start(wait=False)
    wait_for(lambda: os.path.exists(agent.socket) and agent.plugin("p")["state"] == "loading", "it loads")
    assert reload(agent, [one])["p"]["result"] == "restarted"
    agent.wait_plugin("p", "running", seconds=60)
    assert ask(agent)["answers"][0]["message"] == "none"


TALKER = dict(functions=publish_code("test.x", "1"), process="(drop (call $say)) (i32.const 0)", topics=("in.*",))
FEEDER = dict(
    functions=publish_code("in.x", "1") + f'(data (i32.const 16384) "{escape(NONE)}")',
    subscriptions='{"topics":[{"pattern":"ask.it","kind":"hook"}]}',
    process=f"(drop (call $say)) (call $answer (i32.const 16384) (i32.const {len(NONE)})) (i32.const 0)",
)


def feeder(folder):
    return entry(write_guest(folder, "feeder", extism_guest(**FEEDER)), grants={"publish": ["in.*"]})


def test_a_version_that_fails_to_load_keeps_no_old_policy(folder, agents):
    """The old version works on, under what is narrower; the next reload tries the new one again."""
    talker = entry(write_guest(folder, "p", extism_guest(**TALKER)))
    broken = entry(write_guest(folder, "broken", extism_guest(**TALKER, init="(i32.const 1)")), name="p")
    feed = feeder(folder)
    agent = agents(plugins=[feed, {**talker, "grants": {"publish": ["test.*"]}}])
    ask(agent)
    wait_for(lambda: agent.plugin("p")["published"] == 1, "it publishes")
    said = reload(agent, [feed, broken])["p"]
    assert said["result"] == "loading"
    assert said["applied"] == ["grants.publish"] and said["pending"] == ["source"]
    wait_for(lambda: "init" in agent.plugin("p")["reason"], "the new version failed")
    ask(agent)
    wait_for(lambda: agent.plugin("p")["denials"] == 1, "it is denied")
    seen = agent.plugin("p")
    assert seen["state"] == "running" and seen["published"] == 1
    # what nobody asks for any more is no reason
    assert reload(agent, [feed, {**talker, "grants": {"publish": ["test.*"]}}])["p"]["result"] == "applied"
    assert agent.plugin("p")["reason"] == ""
    reload(agent, [feed, broken])
    wait_for(lambda: "init" in agent.plugin("p")["reason"], "it failed again")
    write_guest(folder, "broken", extism_guest(**TALKER))
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.plugin("p")["source"].endswith("broken.wat"), "the mended version runs")


def test_limits_of_calls_are_narrower_at_once(folder, agents):
    # about 0.1 s and more of one call
    slow = dict(process="(call $spin (i32.const 200000000)) (i32.const 0)", topics=("in.*",))
    slow["functions"] = "(func $spin (param $n i32) (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    slow["functions"] += " (br_if $l (local.get $n))))"
    one = entry(write_guest(folder, "p", extism_guest(**slow)), limits={"call": "20s"})
    broken = entry(write_guest(folder, "b", extism_guest(**slow, init="(i32.const 1)")), name="p")
    feed = feeder(folder)
    agent = agents(plugins=[feed, one])
    ask(agent)
    wait_for(lambda: agent.plugin("p")["handled"] == 1, "one is handled")
    reload(agent, [feed, {**broken, "limits": {"call": "1ms", "queue": 3}}])
    assert agent.plugin("p")["queue"]["capacity"] == 3
    ask(agent)
    wait_for(lambda: agent.plugin("p")["timeouts"] == 1, "the next one is cut")


def test_memory_beyond_a_new_limit_ends_the_instance(folder, agents):
    grow = dict(init="(i32.eq (memory.grow (i32.const 64)) (i32.const -1))", topics=("in.*",))
    one = entry(write_guest(folder, "p", extism_guest(**grow)))
    agent = agents(plugins=[one])
    agent.wait_plugin("p", "running")
    said = reload(agent, [{**one, "limits": {"memory": "1MiB"}}])["p"]
    assert said["result"] == "restarted" and "limits.memory" in said["applied"]
    assert agent.plugin("p")["state"] != "running"
    agent.wait_plugin("p", "disabled")


def test_folders_that_are_taken_away_end_the_call_that_runs(folder, agents):
    forever = dict(
        imports='(import "extism:host/env" "log_info" (func $log (param i64)))',
        functions='(data (i32.const 4096) "at it")',
        process="(call $log (call $copy (i32.const 4096) (i32.const 5))) (loop $l (br $l)) (i32.const 0)",
        topics=("in.*",),
    )
    one = entry(write_guest(folder, "p", extism_guest(**forever)), limits={"call": "60s"})
    feed = feeder(folder)
    agent = agents(plugins=[feed, {**one, "grants": {"paths": [{"host": str(folder), "write": True}]}}])
    ask(agent)
    wait_for(lambda: "at it" in agent.text(), "it is at work")
    said = reload(agent, [feed, {**one, "grants": {"paths": [{"host": str(folder)}]}}])["p"]
    assert said["result"] == "restarted" and said["applied"] == ["grants.paths"]
    wait_for(lambda: agent.plugin("p")["dead_letters"] == 1, "the call was cut short")
    agent.wait_plugin("p", "running")


def test_a_pin_that_the_running_code_has_not_ends_it(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    agent = agents(plugins=[entry(path)])
    before = agent.wait_plugin("p", "running")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    said = reload(agent, [entry(path, sha256=right)])["p"]
    assert said["result"] == "applied" and said["applied"] == ["sha256"]
    assert agent.plugin("p")["since"] == before["since"]  # it was not even touched
    assert reload(agent, [entry(path, sha256="0" * 64)])["p"]["result"] == "restarted"
    assert agent.plugin("p")["state"] != "running"
    assert "sha256" in agent.wait_plugin("p", "disabled")["reason"]
    assert reload(agent, [entry(path, sha256=right)])["p"]["result"] == "loading"
    agent.wait_plugin("p", "running")
    reload(agent, [entry(path, sha256=right)], trust={"revoked": [right]})
    assert "revoked" in agent.wait_plugin("p", "disabled")["reason"]


def test_signatures_that_are_demanded_now_are_demanded_of_what_runs(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    key = base64.b64encode(b"Ed" + bytes(range(40))).decode()
    agent = agents(plugins=[entry(path)])
    agent.wait_plugin("p", "running")
    reload(agent, [entry(path)], trust={"keys": [key]})
    assert agent.plugin("p")["state"] == "running"
    reload(agent, [entry(path)], trust={"keys": [key], "require": "signature"})
    assert agent.plugin("p")["state"] != "running"
    agent.wait_plugin("p", "disabled")
    write_guest(folder, "p", extism_guest(**TALKER, info='{"name":"t","version":"6.6.6","api":"1"}'))
    wait_for(lambda: "loading it" in agent.text(), "the file was looked at")
    assert agent.wait_plugin("p", "disabled")["version"] != "6.6.6"


def test_an_operators_disable_survives_what_does_not_change_the_entry(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    other = entry(write_guest(folder, "q", extism_guest(**TALKER)))
    agent = agents(plugins=[entry(path), other])
    assert cli("plugin", "disable", "p", "--socket", agent.socket)[0] == 0
    # moved, written otherwise, other settings of all: it is the same entry
    for plugins, section in (
        ([entry(path), other], {}),
        ([other, entry(path)], {}),
        ([other, entry(path, engine="wasmtime", limits={"call": "1000ms"})], {}),
        ([entry(path), other], {"watch": False, "trust": {"revoked": ["0" * 64]}}),
    ):
        said = reload(agent, plugins, **section)["p"]
        assert said["result"] == "disabled" and "operator" in said["reason"], said
        assert agent.plugin("p")["state"] == "disabled"
    assert reload(agent, [entry(path, limits={"call": "2s"}), other])["p"]["result"] == "loading"
    agent.wait_plugin("p", "running")


def test_an_entry_that_is_off_is_known_and_not_loaded(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    agent = agents(plugins=[entry(path, off=True)])
    assert "off: true" in agent.wait_plugin("p", "disabled")["reason"]
    code, _, err = cli("plugin", "enable", "p", "--socket", agent.socket)
    assert code == 1 and "`off: true`" in err
    reload(agent, [entry(path)])
    agent.wait_plugin("p", "running")
    said = reload(agent, [entry(path, off=True)])["p"]
    assert said["result"] == "off" and agent.plugin("p")["state"] == "disabled"
    write_guest(folder, "p", extism_guest(**TALKER, info='{"name":"t","version":"2.0","api":"1"}'))
    reload(agent, [entry(path, off=True)])
    assert agent.plugin("p")["state"] == "disabled"


def test_watching_ends_with_the_answer_to_the_reload(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    agent = agents(plugins=[entry(path)])
    agent.wait_plugin("p", "running")
    write_guest(folder, "p", extism_guest(**TALKER, info='{"name":"t","version":"2.0","api":"1"}'))
    reload(agent, [entry(path)], watch=False)  # which loads a file that has changed, as ever
    wait_for(lambda: agent.plugin("p")["version"] == "2.0", "the reload took it")
    write_guest(folder, "p", extism_guest(**TALKER, info='{"name":"t","version":"3.0","api":"1"}'))
    time.sleep(0.5)
    assert agent.plugin("p")["version"] == "2.0"


CLOSING = """(func (export "close") (result i32) (local $n i32) (local.set $n (i32.const 2000000000))
  (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))) (i32.const 0))"""


def test_an_entry_that_comes_back_while_it_stops_is_queued(folder, agents):
    guest = extism_guest(topics=("in.*",), functions=CLOSING)
    slow = entry(write_guest(folder, "slow", guest), limits={"call": "20s"})
    other = entry(write_guest(folder, "other", extism_guest(**TALKER)), after=["slow"])
    agent = agents(plugins=[slow])
    agent.wait_plugin("slow", "running")
    assert reload(agent, [])["slow"]["result"] == "removed"
    said = reload(agent, [slow, other])
    assert said["slow"]["result"] == "queued" and said["other"]["result"] == "added"
    assert "begins anew" in agent.plugin("slow")["reason"]
    agent.wait_plugin("slow", "running")
    agent.wait_plugin("other", "running")
    # Twice in a row, and at last it is not wanted.
    reload(agent, [])
    assert reload(agent, [{**slow, "off": True}])["slow"]["result"] == "queued"
    reload(agent, [slow])
    assert "slow" not in reload(agent, [])
    wait_for(lambda: agent.plugin("slow") is None, "it is gone")


def test_a_reload_with_the_name_of_a_module_changes_nothing(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    agent = agents(plugins=[entry(path)])
    agent.settings["plugins"]["load"] = [entry(path, name="metrics")]
    agent.write_config()
    status, body = agent.request("/api/v1/reload", "POST")
    assert status >= 400 and "compiled-in module" in json.dumps(body)
    assert agent.plugin("p")["state"] == "running"


def test_a_store_that_moves_and_a_cache_that_waits_are_told(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    agent = agents(plugins=[entry(path)])
    said = reload(agent, [entry(path)], store=str(folder / "other.db"), cache=str(folder / "other-cache"))["p"]
    assert said["result"] == "applied" and said["applied"] == ["plugins.store"]
    assert "plugins.cache" in agent.api("status")["config"]["waits_for_restart"]


# ---- init() and what may pass ----


@contextlib.contextmanager
def serving(status, port=0):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def fetching(folder, port, always_fails="(i32.const 0)"):
    """Its init() makes a request, and fails when that does, or as `always_fails` says."""
    text = json.dumps({"url": f"http://127.0.0.1:{port}/"})
    guest = extism_guest(
        topics=("in.*",),
        imports=IMPORTS,
        functions=f"""
  (data (i32.const 4096) "http.request")
  (data (i32.const 8192) "\\{len(text):02x}\\00\\00\\00{escape(text)}")
  (func $get (result i64) (call $host (call $copy (i32.const 4096) (i32.const 12))
    (call $copy (i32.const 8192) (i32.const {len(text) + 4}))))""",
        init=f"(if (result i32) (i64.eqz (call $get)) (then (i32.const 1)) (else {always_fails}))",
    )
    grants = {"http": [{"hosts": ["127.0.0.1"], "ports": [port], "schemes": ["http"]}]}
    restart = {"backoff": "50ms", "backoff_max": "200ms", "failures": 2}
    return entry(write_guest(folder, "p", guest), grants=grants, restart=restart)


def test_an_init_that_waits_for_a_server_is_tried_until_it_is_there(folder, agents):
    with serving(200) as port:
        pass
    agent = agents(plugins=[fetching(folder, port)])
    seen = wait_for(
        lambda: (p := agent.plugin("p")) and "attempt 4" in p["reason"] and p, lambda: f"{agent.plugin('p')}"
    )
    assert seen["state"] == "backoff" and "the next follows in 0.2 s" in seen["reason"]
    with serving(200, port):
        agent.wait_plugin("p", "running")


def test_an_answer_of_a_server_in_trouble_may_pass_and_another_does_not(folder, agents):
    with serving(503) as port:
        agent = agents(plugins=[fetching(folder, port, "(i32.const 1)")])
        wait_for(lambda: "attempt 3" in agent.plugin("p")["reason"], lambda: f"{agent.plugin('p')}")
    with serving(404) as port:
        reload(agent, [fetching(folder, port, "(i32.const 1)")])
        agent.wait_plugin("p", "disabled")


def test_a_new_version_that_waits_for_a_server_is_tried_beside_the_old(folder, agents):
    with serving(200) as port:
        pass
    old = entry(write_guest(folder, "old", extism_guest(**TALKER)), name="p")
    agent = agents(plugins=[old])
    agent.wait_plugin("p", "running")
    reload(agent, [fetching(folder, port)])
    wait_for(lambda: agent.text().count("trying again") >= 2, "it is tried again")
    assert agent.plugin("p")["state"] == "running" and agent.plugin("p")["source"].endswith("old.wat")
    with serving(200, port):
        wait_for(lambda: agent.plugin("p")["source"].endswith("p.wat"), "the new version runs")


# ---- nothing is lost without trace ----


@pytest.mark.parametrize("instances", [1, 3])
def test_what_waits_when_a_plugin_ends_is_counted(folder, agents, instances):
    flood = dict(FEEDER)
    flood["process"] = (
        "(local $i i32) (loop $l (drop (call $say)) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        " (br_if $l (i32.lt_u (local.get $i) (i32.const 1000)))) "
    ) + FEEDER["process"].replace("(drop (call $say)) ", "")
    feed = entry(write_guest(folder, "feeder", extism_guest(**flood)), grants={"publish": ["in.*"]})
    slow = "(local $n i32) (local.set $n (i32.const 30000000)) (loop $l (local.set $n (i32.sub (local.get $n)"
    slow += " (i32.const 1))) (br_if $l (local.get $n))) (unreachable)"
    trap = entry(
        write_guest(folder, "trap", extism_guest(topics=("in.*",), process=slow)),
        on_failure="disable",
        instances=instances,
    )
    agent = agents(plugins=[feed, trap])
    ask(agent)
    agent.wait_plugin("trap", "disabled")
    p = wait_for(lambda: (p := agent.plugin("trap"))["in_hand"] == 0 and p, "its instances have left")
    queue = p["queue"]
    assert queue["received"] == 1000 and queue["depth"] == 0
    assert queue["received"] == queue["taken"] + queue["dropped"]
    assert p["handled"] == 0 and p["dead_letters"] + queue["dropped"] == 1000
    dropped = f'outrider_plugin_queue_dropped_messages_total{{plugin="trap"}} {queue["dropped"]}'
    assert dropped in agent.http("/metrics")


# ---- the answer ----


def test_the_command_says_what_became_of_each_plugin(folder, agents):
    path = write_guest(folder, "p", extism_guest(**TALKER))
    agent = agents(plugins=[entry(path)])
    agent.settings["plugins"]["load"] = [entry(path, limits={"queue": 9, "call": "2s"}), entry(path, name="q")]
    agent.write_config()
    code, out, err = cli("reload", "--socket", agent.socket, env={"COLUMNS": "160"})
    assert code == 0, err
    lines = out.decode().splitlines()
    assert str(agent.conf) in lines[0] and "reloaded 1x" in lines[0]
    assert any(line.split() == ["p", "loading", "limits.queue", "limits.call"] for line in lines), lines
    assert any(line.split()[:2] == ["q", "added"] for line in lines), lines
    code, out, _ = cli("reload", "--json", "--socket", agent.socket)
    assert code == 0 and [p["name"] for p in json.loads(out)["plugins"]] == ["p", "q"]
    agent.settings["plugins"]["load"] = [entry(path, limits={"call": "soon"})]
    agent.write_config()
    code, _, err = cli("reload", "--socket", agent.socket)
    assert code == 1 and "call" in err
    assert cli("reload", "--socket", folder / "none.sock")[0] == 2
