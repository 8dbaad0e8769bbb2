"""Plugins that are asked before a real NGINX's configuration changes: what they are told, and that a denial ends it."""

import os
import pathlib
import subprocess

from applies import agent_for, apply, hidden
from lab import raw, until

PLUGINS = pathlib.Path(os.environ["OTR_BUILD"]) / "plugins"
SITE = 'server {{ listen 127.0.0.1:8101; server_name a; location / {{ return 200 "{text}"; {more}}} }}\n'
LARGE_BYTES = 17 << 20  # more than a message may have


def body():
    answer = raw("GET / HTTP/1.0\r\nHost: x\r\n\r\n", 8101)
    return answer.split(b"\r\n\r\n", 1)[1].decode() if b"\r\n\r\n" in answer else ""


def state_of(agent, name):
    return next((p["state"] for p in agent.api("status")["plugins"] if p["name"] == name), None)


def site(text, more=""):
    return SITE.format(text=text, more=more)


def prepared(lab, config, sites=None, **settings):
    """An NGINX with sites, and an agent whose plugin nginx-rules has these rules."""
    (lab.dir / "n/sites").mkdir(parents=True)
    for name, text in {"a.conf": site("old"), **(sites or {})}.items():
        (lab.dir / "n/sites" / name).write_text(text)
    server = lab.nginx(f"include {lab.dir}/n/sites/*.conf;")
    rules = {"name": "nginx-rules", "source": str(PLUGINS / "nginx-rules.wasm"), "config": config, **settings}
    agent = agent_for(lab, extra={"plugins": {"load": [rules]}})
    agent.wait_instance(server.pid)
    until(lambda: state_of(agent, "nginx-rules") == "running", "the plugin runs")
    return server, agent


def test_a_denial_ends_an_apply_before_a_file_is_touched(lab):
    server, agent = prepared(lab, {"forbidden": ["autoindex on"]}, on_failure="fail-closed")
    denied = apply(agent, {"sites/a.conf": site("new", "autoindex on; ")})
    path = f"{server.dir}/sites/a.conf"
    assert denied["result"] == "denied" and denied["step"] == "policy" and not denied["touched"], denied
    assert f'plugin "nginx-rules" denies: forbidden here: autoindex on ({path}:1)' in denied["text"]
    [answer] = denied["verdicts"]["answers"]
    assert answer["findings"] == [
        {"file": path, "line": 1, "severity": "error", "message": "forbidden here: autoindex on"}]
    assert pathlib.Path(path).read_text() == site("old") and not hidden(server)
    assert body() == "old"
    allowed = apply(agent, {"sites/a.conf": site("new")})
    assert allowed["result"] == "applied" and allowed["verdicts"]["verdict"] == "allow", allowed
    assert body() == "new"


def test_a_dry_run_tells_what_a_change_means_and_what_plugins_say(lab):
    server, agent = prepared(lab, {"forbidden": ["autoindex on"]})
    plan = apply(agent, {"sites/a.conf": site("new"), "sites/b.conf": "# nothing\n"}, dry_run=1)
    assert plan["result"] == "planned" and plan["verdicts"]["verdict"] == "allow", plan
    impact = plan["impact"]
    assert impact["reach"] == "some" and impact["errors"] == []
    assert [(s["change"], s["name"], s["why"]) for s in impact["servers"]["items"]] == [("changed", "a", "location")]
    assert [(s["change"], s["name"], s["server"], s["why"]) for s in impact["locations"]["items"]] == [
        ("changed", "/", "a", "return")]
    path = f"{server.dir}/sites/a.conf"
    assert f"--- a{path}\n+++ b{path}\n@@ -1 +1 @@\n-{site('old')}+{site('new')}" in plan["diff"]
    comment = apply(agent, {"sites/a.conf": "# only this\n" + site("old")}, dry_run=1)
    assert comment["impact"]["reach"] == "none"
    denied = apply(agent, {"sites/a.conf": site("new", "autoindex on; ")}, dry_run=1)
    assert "autoindex on" in str(denied["verdicts"]["reason"])
    (lab.dir / "given.conf").write_text(site("new"))
    shown = subprocess.run(
        [os.environ["OUTRIDER"], "config", "apply", str(lab.dir / "given.conf"), "--to", path, "--dry-run", "--socket", str(agent.socket)],
        capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown
    assert f"\n  ~ / of a  {path}:1  return\n" in shown.stdout and "\n+server {" in shown.stdout


def test_a_large_configuration_is_asked_for_file_by_file(lab):
    padding = ("# " + "x" * 97 + "\n") * (LARGE_BYTES // 100)
    _, agent = prepared(
        lab, {"forbidden": ["autoindex on"]}, sites={"large.conf": padding}, grants={"nginx_config": True},
        on_failure="fail-closed",
    )
    denied = apply(agent, {"sites/b.conf": "\n" + site("b", "autoindex on; ").replace("8101", "8102")})
    assert denied["result"] == "denied" and "sites/b.conf:2)" in denied["text"], denied
    assert apply(agent, {"sites/a.conf": site("new")})["result"] == "applied"
    assert body() == "new"


def test_without_the_grant_a_large_configuration_is_no_answer(lab):
    padding = ("# " + "x" * 97 + "\n") * (LARGE_BYTES // 100)
    _, agent = prepared(
        lab, {"forbidden": ["autoindex on"]}, sites={"large.conf": padding}, on_failure="fail-closed")
    denied = apply(agent, {"sites/a.conf": site("new")})
    assert denied["result"] == "denied" and "grants.nginx_config" in denied["text"], denied
    assert body() == "old"
