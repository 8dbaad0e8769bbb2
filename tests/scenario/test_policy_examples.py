"""The example plugins that answer for configurations: what an operator is told, with file and line."""

import json

import pytest
import support
from support import cli, entry

PLUGINS = support.BUILD / "plugins"

FINE = """events {}
http {
    server_tokens off;
    include sites/*.conf;
}
"""
SITE = """server {
    listen 443 ssl;
    server_name a.example;
    ssl_protocols TLSv1.2 TLSv1.3;
    add_header Strict-Transport-Security max-age=31536000;
    location / { }
}
"""
RULES = {
    "tls_minimum": "TLSv1.2",
    "forbidden": ["autoindex on", "ssi"],
    "required": [{"block": "http", "directive": "server_tokens off"}, {"block": "server", "directive": "ssl_protocols"}],
}


def example(name, **settings):
    path = PLUGINS / f"{name}.wasm"
    assert path.exists(), f"{path} is not built: make deps"
    return entry(path, **settings)


def write(folder, main=FINE, **sites):
    root = folder / "conf"
    (root / "sites").mkdir(parents=True, exist_ok=True)
    (root / "nginx.conf").write_text(main)
    for old in (root / "sites").iterdir():
        old.unlink()
    for name, text in (sites or {"a": SITE}).items():
        (root / "sites" / f"{name}.conf").write_text(text)
    return root


def ask(agent, root, **question):
    """Asks about the configuration below `root`: (exit code, the one answer)."""
    code, out, err = cli("nginx", "parse", root / "nginx.conf")
    assert code == 0, err
    question = json.dumps({"config": json.loads(out), **question})
    code, out, err = cli(
        "plugin", "ask", "nginx.config.validate", "--json", "--input", "-", "--socket", agent.socket, stdin=question.encode()
    )
    assert out, (code, err)
    return code, json.loads(out)["answers"][0]


def places(answer, root):
    return [(f["file"].replace(f"{root}/", ""), f["line"], f["severity"], f["message"]) for f in answer["findings"]]


def test_nginx_rules_allows_what_follows_the_rules(folder, agents):
    agent = agents(plugins=[example("nginx-rules", config=RULES)])
    agent.wait_plugin("nginx-rules", "running")
    code, answer = ask(agent, write(folder))
    assert (code, answer["how"], answer["findings"]) == (0, "answered", []), answer


def test_nginx_rules_denies_with_file_and_line(folder, agents):
    agent = agents(plugins=[example("nginx-rules", config=RULES)])
    agent.wait_plugin("nginx-rules", "running")
    bad = SITE.replace("TLSv1.2 ", "TLSv1.1 ").replace("location / { }", "location / { autoindex on; }")
    root = write(folder, FINE.replace("    server_tokens off;\n", ""), a=bad, b="server {\n    listen 80;\n    autoindex off;\n}\n")
    code, answer = ask(agent, root)
    assert code == 1 and answer["message"] == "required here: server_tokens off"
    assert places(answer, root) == [
        ("nginx.conf", 2, "error", "required here: server_tokens off"),
        ("sites/a.conf", 4, "error", "older than the minimum of TLSv1.2"),
        ("sites/a.conf", 6, "error", "forbidden here: autoindex on"),
        ("sites/b.conf", 1, "error", "required here: ssl_protocols"),
    ]
    code, out, _ = cli("nginx", "parse", root / "nginx.conf")
    code, out, _ = cli(
        "plugin", "ask", "nginx.config.validate", "--input", "-", "--socket", agent.socket, stdin=b'{"config":' + out + b"}"
    )
    assert code == 1
    assert f"nginx-rules: {root}/sites/a.conf:4: error: older than the minimum of TLSv1.2\n" in out.decode()
    assert f"deny: plugin \"nginx-rules\" denies: required here: server_tokens off ({root}/nginx.conf:2)" in out.decode()


def test_nginx_rules_counts_what_it_has_no_room_for(folder, agents):
    agent = agents(plugins=[example("nginx-rules", config={"forbidden": ["autoindex"]})])
    agent.wait_plugin("nginx-rules", "running")
    root = write(folder, a="server {\n" + "location / { autoindex on; }\n" * 1000 + "}\n")
    code, answer = ask(agent, root)
    assert code == 1 and len(answer["findings"]) == 16


def test_nginx_rules_says_what_is_wrong_with_its_rules(agents):
    agent = agents(plugins=[example("nginx-rules", config={"tls_minimum": "TLSv9"})])
    assert "tls_minimum is TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3" in agent.wait_plugin("nginx-rules", "disabled")["reason"]


@pytest.mark.parametrize("config, said", [
    ({"tls_minimum": 1.2}, "tls_minimum is TLSv1"),
    ({"forbidden": "autoindex on"}, "forbidden is a list"),
    ({"forbidden": ["ssi", " "]}, "forbidden is a list"),
    ({"forbidden": ["x" * 600]}, "forbidden is a list"),
    ({"required": {"block": "http", "directive": "server_tokens off"}}, "required is a list"),
    ({"required": [{"block": "http"}]}, "required is a list"),
    ({"forbid": ["autoindex on"]}, "no other rules"),
])
def test_nginx_rules_takes_no_rule_that_would_forbid_nothing(agents, config, said):
    agent = agents(plugins=[example("nginx-rules", config=config)])
    assert said in agent.wait_plugin("nginx-rules", "disabled")["reason"]


def test_nginx_rules_fails_on_a_question_without_a_configuration(agents):
    agent = agents(plugins=[example("nginx-rules", config=RULES, on_failure="fail-closed")])
    agent.wait_plugin("nginx-rules", "running")
    code, out, _ = cli("plugin", "ask", "nginx.config.validate", "--json", "--input", "{}", "--socket", agent.socket)
    assert code == 1 and json.loads(out)["answers"][0]["how"] == "failed"
    large = '{"config":null,"config_truncated":true,"config_files":["/a"]}'
    code, out, _ = cli("plugin", "ask", "nginx.config.validate", "--json", "--input", large, "--socket", agent.socket)
    assert code == 1 and "too large to look for required directives" in json.loads(out)["reason"]


def test_nginx_rules_asks_for_the_files_of_a_large_configuration(agents):
    agent = agents(plugins=[example("nginx-rules", config={"forbidden": ["ssi"]}, grants={"nginx_config": True})])
    agent.wait_plugin("nginx-rules", "running")
    large = '{"config":null,"config_truncated":true,"config_files":["/a"]}'
    _, out, _ = cli("plugin", "ask", "nginx.config.validate", "--json", "--input", large, "--socket", agent.socket)
    answer = json.loads(out)["answers"][0]
    assert answer["how"] == "failed" and "only while a question about a configuration" in answer["message"]


def test_hsts_check_allows_a_header_of_the_server_of_http_or_of_a_snippet(folder, agents):
    agent = agents(plugins=[example("hsts-check")])
    agent.wait_plugin("hsts-check", "running")
    header = "    add_header strict-transport-security max-age=1;\n"
    bare = SITE.replace("    add_header Strict-Transport-Security max-age=31536000;\n", "")
    assert ask(agent, write(folder))[0] == 0
    assert ask(agent, write(folder, FINE.replace("    include", header + "    include"), a=bare))[0] == 0
    root = write(folder, a=bare.replace("    location", "    include snip.conf;\n    location"))
    (root / "snip.conf").write_text(header)
    assert ask(agent, root)[0] == 0
    assert ask(agent, write(folder, a="server {\n    listen 80;\n}\n"))[0] == 0


def test_hsts_check_denies_with_file_and_line(folder, agents):
    agent = agents(plugins=[example("hsts-check")])
    agent.wait_plugin("hsts-check", "running")
    bare = SITE.replace("Strict-Transport-Security", "X-Other")
    root = write(folder, FINE.replace("    include", "    add_header Strict-Transport-Security a;\n    include"), a=bare)
    code, answer = ask(agent, root)
    assert code == 1
    assert places(answer, root) == [("sites/a.conf", 1, "error", "a TLS server without Strict-Transport-Security")]
    root = write(folder, a=SITE, b="# second\n" + SITE)
    code, answer = ask(agent, root)
    assert code == 1
    assert places(answer, root) == [("sites/b.conf", 2, "error", "another server of this address has the same name")]


def test_hsts_check_warns_of_a_location_that_takes_the_header_away(folder, agents):
    agent = agents(plugins=[example("hsts-check")])
    agent.wait_plugin("hsts-check", "running")
    root = write(folder, a=SITE.replace("location / { }", "location / { add_header X-A b; }"))
    code, answer = ask(agent, root)
    assert (code, answer["verdict"]) == (0, "allow")
    assert places(answer, root) == [
        ("sites/a.conf", 6, "warning", "its add_header takes Strict-Transport-Security of the server away")
    ]


def test_hsts_check_does_not_pass_what_it_cannot_see(folder, agents):
    agent = agents(plugins=[example("hsts-check", on_failure="fail-closed")])
    agent.wait_plugin("hsts-check", "running")
    code, out, _ = cli(
        "plugin", "ask", "nginx.config.validate", "--json", "--input", '{"config":null,"config_truncated":true}', "--socket", agent.socket
    )
    assert code == 1 and "too large" in json.loads(out)["reason"]
    code, out, _ = cli("plugin", "ask", "nginx.config.validate", "--json", "--input", "7", "--socket", agent.socket)
    assert code == 1 and json.loads(out)["answers"][0]["how"] == "failed"


def asked(agent, config):
    """The answer about a configuration as it comes, whatever made it."""
    question = json.dumps({"config": {"status": "ok", "errors": [], "config": config}})
    code, out, err = cli(
        "plugin", "ask", "nginx.config.validate", "--json", "--input", "-", "--socket", agent.socket, stdin=question.encode()
    )
    assert out, (code, err)
    return code, json.loads(out)["answers"][0]


def test_nginx_rules_looks_into_what_is_nested_deep(folder, agents):
    agent = agents(plugins=[example("nginx-rules", config={"forbidden": ["autoindex on"]})])
    agent.wait_plugin("nginx-rules", "running")
    deep = "location / { " * 20 + "autoindex on;" + " }" * 20
    code, answer = ask(agent, write(folder, "events {}\nhttp { server {\n" + deep + "\n} }\n"))
    assert code == 1 and len(answer["findings"]) == 1, answer


@pytest.mark.parametrize("name", ("nginx-rules", "hsts-check"))
def test_a_configuration_without_files_is_denied(agents, name):
    agent = agents(plugins=[example(name)])
    agent.wait_plugin(name, "running")
    code, answer = asked(agent, [])
    assert code == 1 and answer["verdict"] == "deny" and "no files" in answer["message"], (code, answer)
