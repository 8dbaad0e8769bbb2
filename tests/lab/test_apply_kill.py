"""The agent is killed in every phase of a change: afterwards the old or the new one stands, whole, served, and told once."""

import contextlib
import json
import random

import pytest
from applies import agent_for, apply, applies, begin, finished, hidden
from test_apply import body, server_of, site
from lab import get, until

PHASES = ("plan", "policy", "stage", "swap", "test", "reload", "proof", "probation", "commit")


def state(server):
    return (server.dir / "sites/a.conf").read_text(), (server.dir / "sites/b.conf").exists()


def check_whole(server, agent):
    """Old or new, nothing of both; NGINX serves it; nothing is left beside the files."""
    until(lambda: not hidden(server) and not applies(agent)["running"], lambda: f"settled: {agent.text()[-3000:]}")
    text, b = state(server)
    new = text == site("new")
    assert (text, b) in ((site("old"), False), (site("new"), True))
    until(lambda: body() == ("new" if new else "old"), "it is served")
    assert (get(port=8102) == 200) == new if new else True
    return new


def history_of(agent):
    """{id: result} of all changes."""
    code, text = agent.cli("config", "history", "--json")
    assert code == 0, text
    rows = json.loads(text)["changes"]
    return {r["id"]: r["result"] for r in rows}


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in(lab, phase):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    seed = random.Random(phase)
    for _ in range(2):
        client = begin(agent, {"sites/a.conf": site("new"), "sites/b.conf": site("b", 8102)}, server,
                       probe="http://127.0.0.1:8101/", probation_ms=200)
        with contextlib.suppress(AssertionError):
            until(lambda: f"step={phase} state=0" in agent.text(), "the phase", 5, step=0.0005)
        pause = seed.random() * (0.12 if phase in ("proof", "probation") else 0.004)
        with contextlib.suppress(AssertionError):
            until(lambda: False, "a moment", pause, step=0.0005)
        agent.process.kill()
        agent.process.wait()
        client.close()
        agent.log.write_text("")
        agent.start()
        agent.wait_instance(server.pid)
        new = check_whole(server, agent)
        told = [e for e in finished(agent) if e["why"] == "recovery"]
        assert len(told) <= 1 and all(e["result"] == ("applied" if new else "rolled-back") for e in told), told
        ends = ("applied", "rolled-back", "failed")
        until(lambda: all(r in ends for r in history_of(agent).values()), lambda: f"all have an end: {history_of(agent)}")
        if new:
            back = apply(agent, {"sites/a.conf": site("old")}, server, delete="sites/b.conf")
            assert back["result"] == "applied", back
        agent.kept.clear()
        agent.log.write_text("")


@pytest.mark.parametrize("phase", ("undo", "undo-proof"))
def test_killed_on_the_way_back(lab, phase):
    """The old files are back and NGINX may still run with the new ones: the next start reloads."""
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    for _ in range(3):
        client = begin(agent, {"sites/a.conf": site("new"), "sites/b.conf": site("b", 8102)}, server,
                       probe="http://127.0.0.1:8101/=418", probation_ms=100)
        until(lambda: f"step={phase} state=0" in agent.text(), "the phase", 10, step=0.0005)
        agent.process.kill()
        agent.process.wait()
        client.close()
        agent.log.write_text("")
        agent.start()
        agent.wait_instance(server.pid)
        assert not check_whole(server, agent)
        agent.kept.clear()
        agent.log.write_text("")
