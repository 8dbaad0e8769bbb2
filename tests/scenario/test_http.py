"""http.request of plugins against a real TLS server; denials and secrets as an operator sees them."""

import http.server
import json
import os
import threading
import time

import pytest

import tls
from support import cli, entry, escape, extism_guest, wait_for, write_guest

IMPORTS = """
  (import "extism:host/env" "http_request" (func $http (param i64 i64) (result i64)))
  (import "extism:host/user" "outrider_call" (func $host (param i64 i64) (result i64)))
"""


def asking(url):
    """Requests the URL at each sample and publishes the body, which is JSON."""
    text = json.dumps({"url": url, "method": "GET"})
    return extism_guest(
        imports=IMPORTS,
        functions=f"""
  (data (i32.const 4096) "test.body")
  (data (i32.const 8192) "{escape(text)}")
  (func $ask (result i32) (local $body i64)
    (local.set $body (call $http (call $copy (i32.const 8192) (i32.const {len(text)})) (i64.const 0)))
    (i64.ne (i64.const 0) (call $publish (call $copy (i32.const 4096) (i32.const 9)) (local.get $body))))""",
        process="(call $ask)",
        topics=("nginx.metrics.sampled",),
    )


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return tls.Authority(tmp_path_factory.mktemp("tls"), "http")


@pytest.fixture
def server(authority):
    made = tls.Server(authority)
    made.files["/a"] = b'{"hello":true}'
    yield made
    made.stop()


def plugin(folder, server, path="/a", grant=None, **settings):
    guest = write_guest(folder, "asker", asking(server.url(path)))
    allowed = {"hosts": ["127.0.0.1"], "ports": [server.port], **(grant or {})}
    return entry(guest, grants={"publish": ["test.*"], "http": [allowed]}, **settings)


def test_a_request_by_tls_trusts_the_roots_of_its_grant(folder, nginx, agents, server, authority):
    agent = agents(plugins=[plugin(folder, server, grant={"ca": str(authority.ca)})])
    assert agent.wait_event("test.body")["data"] == {"hello": True}
    assert agent.plugin("asker")["denials_by"] == {}


def test_other_roots_do_not_do(folder, nginx, agents, server):
    stranger = tls.Authority(folder / "tls", "stranger")
    agent = agents(plugins=[plugin(folder, server, grant={"ca": str(stranger.ca)})])
    wait_for(lambda: (agent.plugin("asker") or {}).get("errors", 0) > 1, "it fails")
    assert server.seen == [] and agent.events("test.body") == []


def test_a_certificate_for_another_name_does_not_do(folder, nginx, agents):
    other = tls.Authority(folder / "tls", "misnamed", names="DNS:other.example")
    server = tls.Server(other)
    server.files["/a"] = b'{"hello":true}'
    try:
        agent = agents(plugins=[plugin(folder, server, grant={"ca": str(other.ca)})])
        wait_for(lambda: (agent.plugin("asker") or {}).get("errors", 0) > 1, "it fails")
        assert server.seen == [] and agent.events("test.body") == []
    finally:
        server.stop()


def test_the_systems_roots_do_not_know_a_private_authority(folder, nginx, agents, server):
    agent = agents(plugins=[plugin(folder, server)])
    wait_for(lambda: (agent.plugin("asker") or {}).get("errors", 0) > 1, "it fails")
    assert server.seen == []


def test_a_redirect_to_what_is_not_granted_is_denied(folder, nginx, agents, server, authority):
    server.redirects["/go"] = "https://169.254.169.254/latest/meta-data"
    agent = agents(plugins=[plugin(folder, server, "/go", {"ca": str(authority.ca)})])
    seen = wait_for(lambda: (p := agent.plugin("asker")) and p["denials"] > 1 and p, "it is denied")
    assert set(seen["denials_by"]) == {"http"}
    assert agent.text().count("host operation denied") == 1


def test_an_agent_that_stops_ends_a_request_that_drips(folder, nginx, agents, server, authority):
    server.drips.add("/drip")
    item = plugin(folder, server, "/drip", {"ca": str(authority.ca)}, limits={"call": "1h"})
    agent = agents(plugins=[item])
    wait_for(lambda: server.seen, "the request is under way")
    code, _ = agent.stop()
    assert code == 0
    assert "did not stop in time" not in agent.text() and "a worker is still busy" not in agent.text()


def test_denials_are_told_by_grant(folder, nginx, agents):
    """One plugin asks for everything and is granted nothing."""
    names = ["kv.get", "instances.list", "env.get", "secret.get", "http.request", "metric.counter"]
    data, calls = "", ""
    for i, name in enumerate(names):
        at = 4096 + 64 * i
        data += f'(data (i32.const {at}) "{name}")\n'
        calls += f"(drop (call $host (call $copy (i32.const {at}) (i32.const {len(name)})) (i64.const 0)))"
    text = extism_guest(
        imports=IMPORTS, functions=f"{data} (func $ask (result i32) {calls} (i32.const 0))", process="(call $ask)",
        topics=("nginx.metrics.sampled",),
    )
    agent = agents(plugins=[entry(write_guest(folder, "greedy", text))])
    kinds = {"kv_bytes", "instances", "env", "secrets", "http", "metrics"}
    wait_for(
        lambda: set((agent.plugin("greedy") or {}).get("denials_by", {})) == kinds,
        lambda: f"each kind is counted; {agent.plugin('greedy')}",
    )
    seen = agent.plugin("greedy")
    assert seen["denials"] >= sum(seen["denials_by"].values()) - len(kinds)
    assert agent.text().count("host operation denied") == len(kinds)
    code, out, _ = cli("plugin", "show", "greedy", "--json", "--socket", agent.socket)
    assert code == 0 and set(json.loads(out)["denials_by"]) == kinds
    metrics = agent.http("/metrics")
    for kind in kinds:
        assert f'grant="{kind}"' in metrics


def test_a_secret_is_nowhere_but_in_the_plugin(folder, nginx, agents):
    """It reads the secret, and says a word of it in no way of its own: neither does the agent."""
    secret = folder / "secret"
    secret.write_text("correct-horse-battery\n")
    os.chmod(secret, 0o600)
    text = extism_guest(
        imports=IMPORTS,
        functions="""
  (data (i32.const 4096) "secret.get") (data (i32.const 4160) "token") (data (i32.const 4224) "test.read")
  (func $read (result i32)
    (if (i64.eqz (call $host (call $copy (i32.const 4096) (i32.const 10)) (call $copy (i32.const 4160) (i32.const 5))))
      (then (return (i32.const 1))))
    (i64.ne (i64.const 0) (call $publish (call $copy (i32.const 4224) (i32.const 9)) (call $copy (i32.const 4288) (i32.const 4)))))
  (data (i32.const 4288) "true")""",
        process="(call $read)",
        topics=("nginx.metrics.sampled",),
    )
    item = entry(write_guest(folder, "keeper", text), grants={"publish": ["test.*"], "secrets": {"token": str(secret)}})
    agent = agents(plugins=[item])
    agent.wait_event("test.read")
    time.sleep(0.3)
    shown = agent.text() + json.dumps(agent.api("status")) + agent.http("/metrics") + json.dumps(agent.events())
    shown += cli("plugin", "show", "keeper", "--socket", agent.socket)[1].decode()
    assert "correct-horse-battery" not in shown


class Plain:
    """Answers GET on loopback with the same fields each time; `seen` has paths and the field X-Key."""

    def __init__(self, fields):
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.seen.append((self.path, self.headers.get("X-Key")))
                self.send_response(200)
                for name, value in [*fields, ("Content-Length", "2")]:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


def asking_once(question):
    """Requests when it comes up and publishes the headers of the answer, or true when there is none."""
    text = json.dumps(question)
    return extism_guest(
        imports=IMPORTS + '(import "extism:host/env" "http_headers" (func $fields (result i64)))',
        functions=f"""
  (data (i32.const 4096) "test.fields") (data (i32.const 4160) "true")
  (data (i32.const 8192) "{escape(text)}")
  (func $ask (result i32) (local $h i64)
    (drop (call $http (call $copy (i32.const 8192) (i32.const {len(text)})) (i64.const 0)))
    (call $error_set (i64.const 0))
    (local.set $h (call $fields))
    (if (i64.eqz (local.get $h)) (then (local.set $h (call $copy (i32.const 4160) (i32.const 4)))))
    (i64.ne (i64.const 0) (call $publish (call $copy (i32.const 4096) (i32.const 11)) (local.get $h))))""",
        init="(call $ask)",
        topics=("nothing.at-all",),
    )


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_a_guest_has_all_headers_and_sends_its_own(folder, agents, engine):
    twice = [("Vary", "a"), ("X-1", " one "), ("Vary", "b"), ("X-None", ""), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    server = Plain([*twice, ("X-2", "two")])
    try:
        question = {"url": f"http://127.0.0.1:{server.port}/", "header": {"X-Key": "v"}}
        grants = {"publish": ["test.*"], "http": [f"http://127.0.0.1:{server.port}/"]}
        guest = write_guest(folder, "asker", asking_once(question))
        agent = agents(plugins=[entry(guest, grants=grants, engine=engine)])
        fields = agent.wait_event("test.fields")["data"]
        assert {name: fields.get(name) for name in ("vary", "x-1", "x-none", "set-cookie", "x-2")} == {
            "vary": "a, b", "x-1": "one", "x-none": "", "set-cookie": "a=1, b=2", "x-2": "two"
        }
        assert server.seen == [("/", "v")]
    finally:
        server.stop()


def test_two_grants_together_reach_nothing_that_neither_names(folder, agents):
    server = Plain([])
    try:
        grants = [{"hosts": ["*"], "schemes": ["http"], "ports": [server.port]}, f"http://127.0.0.1:{server.port}/health"]
        paths = {"fine": "/health", "secret": "/admin/secret", "climbs": "/health/..;/admin/secret"}
        made = [
            entry(
                write_guest(folder, name, asking_once({"url": f"http://127.0.0.1:{server.port}{path}"})),
                grants={"publish": ["test.*"], "http": grants},
            )
            for name, path in paths.items()
        ]
        agent = agents(plugins=made)
        for name in paths:
            agent.wait_event("test.fields", lambda e, name=name: e["source"] == name)
        assert [path for path, _ in server.seen] == ["/health"]
        assert {name: agent.plugin(name)["denials"] for name in paths} == {"fine": 0, "secret": 1, "climbs": 1}
    finally:
        server.stop()
