"""`outrider config` before anything was applied: what stands there, and what cannot be had."""

import json

from lab import until

SERVER = "server { listen 127.0.0.1:8101; location / { return 200 one; } }"


def start(lab):
    server = lab.nginx(SERVER)
    agent = lab.agent()
    agent.wait_instance(server.pid)
    until(lambda: agent.cli("config", "show", "nginx")[0] == 0, lambda: str(agent.cli("config", "show", "nginx")) + agent.text()[-1500:])
    return server, agent


def test_show_lists_the_files_and_hides_keys(lab):
    server, agent = start(lab)
    code, text = agent.cli("config", "show", "nginx")
    assert code == 0 and str(server.conf) in text and "no version is recorded yet" in text
    code, text = agent.cli("config", "show", server.conf, server.conf)
    assert code == 0 and text == server.conf.read_text()
    code, text = agent.cli("config", "show", "nginx", "nginx.conf")
    assert code == 0 and text == server.conf.read_text()
    code, text = agent.cli("config", "show", "nginx", "/etc/shadow")
    assert code == 2 and "is no file of this configuration" in text
    key = server.dir / "site.key"
    key.write_text("# none\n")
    key.chmod(0o600)
    server.write(f"include {key}; {SERVER}")
    code, text = agent.cli("config", "show", "nginx", key)
    assert code == 2 and "private key or passwords, not shown" in text and "none" not in text
    code, text = agent.cli("config", "show", "nope")
    assert code == 2 and "no NGINX is called" in text
