"""What plugins say to a change of a configuration: a denial ends it before a file is touched."""

import json

from support import cli, entry, wait_for
from test_hooks import ALLOW, DENY, hook


def agent_of(folder, agents, plugins, nginx, **config):
    agent = agents(start=False, plugins=plugins, config={"allowed_directories": [str(folder)]},
                   flags=["--lib-dir", str(folder / "lib")])
    agent.settings["outrider"]["config"] = config
    agent.write_config()
    agent.start()
    wait_for(agent.instances, "the instance")
    return agent


def change(agent, nginx, folder, text="# changed\n"):
    """(exit code, result) of a comment more in nginx.conf."""
    fresh = folder / "nginx.conf"
    fresh.write_text(nginx.conf.read_text() + text)
    code, out, err = cli("config", "apply", str(fresh), "--to", str(nginx.conf), "--json", "--socket", agent.socket)
    assert out, (code, err)
    return code, json.loads(out)


def test_a_denial_ends_a_change_before_a_file_is_touched(folder, agents, nginx):
    agent = agent_of(folder, agents, [entry(hook(folder, "no", answer=DENY))], nginx)
    agent.wait_plugin("no", "running")
    before = (nginx.conf.read_text(), nginx.conf.stat().st_ino)
    code, result = change(agent, nginx, folder)
    assert code == 1 and result["result"] == "denied" and result["step"] == "policy" and not result["touched"]
    assert 'plugin "no" denies: no gzip' in result["text"]
    assert result["verdicts"]["answers"][0]["plugin"] == "no" and result["impact"]["files"]
    assert (nginx.conf.read_text(), nginx.conf.stat().st_ino) == before
    assert agent.wait_event("nginx.config.apply.finished")["data"]["result"] == "denied"


def test_who_allows_is_told_with_the_result(folder, agents, nginx):
    agent = agent_of(folder, agents, [entry(hook(folder, "yes", answer=ALLOW))], nginx)
    agent.wait_plugin("yes", "running")
    code, result = change(agent, nginx, folder)
    assert code == 0 and result["result"] == "applied", result
    assert [(a["plugin"], a["verdict"]) for a in result["verdicts"]["answers"]] == [("yes", "allow")]


def test_a_plugin_that_does_not_answer_counts_as_its_entry_says(folder, agents, nginx):
    """Slower than the time that plugins have: fail-closed denies, the others allow."""
    slow = {"process": "(loop $l (br $l)) (i32.const 0)", "functions": ""}
    for name, extra, expected in (("open", {}, "applied"), ("closed", {"on_failure": "fail-closed"}, "denied")):
        agent = agent_of(folder, agents, [entry(hook(folder, name, **slow), **extra)], nginx,
                         policy={"timeout": "300ms"})
        agent.wait_plugin(name, "running")
        _, result = change(agent, nginx, folder, f"# {name}\n")
        assert result["result"] == expected, result
        agent.stop()
