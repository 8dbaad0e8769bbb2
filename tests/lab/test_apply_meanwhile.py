"""What somebody else does to NGINX, or to the agent, while a change is under way; and changes that are large."""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import threading

from applies import agent_for, apply, applies, begin, finish, hidden, post
from lab import until
from test_apply import body, server_of, site

# NGINX warns of the second one, and needs a while to read the rest.
SLOW = (site("new") + 2 * site("other").replace("location", "server_name a; location") +
        "geo $slow {\n" + "".join(f"10.{i >> 8 & 255}.{i & 255}.0/24 {i};\n" for i in range(60000)) + "}\n")


def rows_of(agent):
    """The changes of the history, the newest first."""
    return json.loads(agent.cli("config", "history", "--json")[1])["changes"]


@contextlib.contextmanager
def stopped_test(agent):
    """`nginx -t` stands still while the new files are there."""
    pid = agent.process.pid
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    child = int(until(lambda: children.read_text().split(), "its test", step=0)[0])
    os.kill(child, signal.SIGSTOP)
    yield
    os.kill(child, signal.SIGCONT)


def test_reloaded_by_somebody_else_before_the_old_files_are_back(lab):
    server = server_of(lab)
    agent = agent_for(lab, extra={"data_plane_config": {"nginx": {"treat_warnings_as_errors": True}}})
    agent.wait_instance(server.pid)
    client = begin(agent, {"sites/a.conf": SLOW}, server)
    with stopped_test(agent):
        server.reload()
        assert body() == "new"
    result = finish(client)
    assert result["result"] == "invalid" and "conflicting server name" in result["text"], result
    assert body() == "old" and not hidden(server)
    assert "undo-proof" in [s["name"] for s in result["steps"]]


def test_started_anew_by_somebody_else_before_the_old_files_are_back(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    client = begin(agent, {"sites/a.conf": SLOW}, server)
    with stopped_test(agent):
        server.stop()
        server.start()
        until(lambda: body() == "new", "the new one is served")
    result = finish(client)
    assert result["result"] == "rolled-back", result
    assert body() == "old" and not hidden(server)


def test_a_file_that_somebody_else_changed_on_probation_is_said(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    client = begin(agent, {"sites/a.conf": site("new")}, server, probe="http://127.0.0.1:8101/", probation_ms=400)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    (server.dir / "sites/a.conf").write_text(site("by hand"))
    result = finish(client)
    assert result["result"] == "applied", result
    assert any("sites/a.conf was changed by somebody else" in r for r in result["remarks"]), result
    assert (server.dir / "sites/a.conf").read_text() == site("by hand") and not hidden(server)
    assert apply(agent, {"sites/a.conf": site("next")}, server)["remarks"] == []


def test_the_history_knows_of_a_change_whose_agent_was_killed_before_it_was_written(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    assert apply(agent, {"sites/a.conf": site("one")}, server)["result"] == "applied"
    agent.log.write_text("")
    client = begin(agent, {"sites/a.conf": site("two")}, server, probe="http://127.0.0.1:8101/", probation_ms=100)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    other = sqlite3.connect(agent.dir / "lib/history.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    until(lambda: "step=commit state=1" in agent.text(), "its end", step=0.001)
    agent.process.kill()
    agent.process.wait()
    other.execute("ROLLBACK")
    other.close()
    client.close()
    agent.start()
    agent.wait_instance(server.pid)
    until(lambda: not hidden(server) and not applies(agent)["running"], "it is finished")
    assert body() == "two"
    rows = json.loads(agent.cli("config", "history", "--json")[1])["changes"]
    assert [r["result"] for r in rows] == ["applied", "applied"], rows
    # A first look may come before the version of that change is the measure.
    until(lambda: "sites/a.conf" not in json.dumps(agent.api("config/drift")), "it is no drift")


def test_all_files_of_a_large_change_come_back(lab):
    """More than a result names, and none that the configuration reads."""
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    names = [f"beside/{i:04}" for i in range(1010)]
    for text in "one", "two":
        assert apply(agent, dict.fromkeys(names, text), server)["result"] == "applied"
    status, back = post(agent, "/api/v1/config/rollback", instance=str(server.conf))
    assert status == 200 and back["result"] == "applied", back
    assert {(server.dir / name).read_text() for name in names} == {"one"}


@contextlib.contextmanager
def each_test(agent, edit):
    """edit() after each `nginx -t` of the agent has begun, and before it ends."""
    pid, stop, seen = agent.process.pid, threading.Event(), []
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")

    def run():
        while not stop.is_set():
            for child in children.read_text().split():
                if child not in seen:
                    with contextlib.suppress(OSError):
                        os.kill(int(child), signal.SIGSTOP)
                        seen.append(child)
                        edit(len(seen))
                        os.kill(int(child), signal.SIGCONT)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield seen
    stop.set()
    thread.join(10)


def beside(n):
    return site(f"beside {n:02}", 8102)


def test_what_somebody_else_writes_between_test_and_reload_is_tested_too(lab):
    server = server_of(lab)
    (server.dir / "sites/b.conf").write_text(beside(0))
    server.reload()
    agent = agent_for(lab)
    agent.wait_instance(server.pid)

    def edit(n):
        if n == 1:
            (server.dir / "sites/b.conf").write_text(beside(n))

    with each_test(agent, edit) as tests:
        result = apply(agent, {"sites/a.conf": SLOW}, server)
    assert result["result"] == "applied" and len(tests) == 2, (result, tests)
    assert "sites/b.conf was changed by somebody else between the test and the end of the reload" in agent.text()
    assert body() == "new" and body(8102) == "beside 01"


def test_what_is_written_all_the_time_is_not_proven(lab):
    server = server_of(lab)
    (server.dir / "sites/b.conf").write_text(beside(0))
    server.reload()
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    with each_test(agent, lambda n: (server.dir / "sites/b.conf").write_text(beside(n))) as tests:
        result = apply(agent, {"sites/a.conf": SLOW}, server)
    assert result["result"] == "rolled-back" and len(tests) == 2, (result, tests)
    assert "sites/b.conf was changed by somebody else" in result["text"], result
    assert body() == "old" and not hidden(server)
    assert (server.dir / "sites/b.conf").read_text() == beside(2)


def test_instances_that_share_files_are_changed_one_after_the_other(lab):
    shared = lab.put("shared/a.conf", "# old\n")
    one, two = (lab.nginx(f"include {lab.dir}/shared/*.conf; server {{ listen 127.0.0.1:{port}; return 204; }}", name=name)
                for name, port in (("m", 8101), ("n", 8102)))
    other = server_of(lab, name="o", port=8103)
    agent = agent_for(lab)
    for server in one, two, other:
        agent.wait_instance(server.pid)
    # The first one fails on probation, when the second one has long been asked for.
    first = begin(agent, {"a.conf": "# first\n"}, one, base=str(shared.parent), probe="http://127.0.0.1:8101/", probation_ms=60000)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    second = begin(agent, {"a.conf": "# second\n"}, two, base=str(shared.parent))
    until(lambda: "which has files of this one" in agent.text(), "it waits")
    assert apply(agent, {"sites/a.conf": site("new", 8103)}, other)["result"] == "applied"
    assert shared.read_text() == "# first\n"
    one.stop()
    assert finish(first)["result"] in ("rolled-back", "rollback-failed")
    result = finish(second)
    assert result["result"] == "applied" and result["items"][0]["before"]["bytes"] == len("# old\n"), result
    assert shared.read_text() == "# second\n"
    assert not [p for p in lab.dir.rglob(".outrider*")]
