"""What an agent knows of changes of an earlier life, of an NGINX that is found late, and what it tells to whom."""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3

from applies import agent_for, apply, applies, begin, finish, hidden
from lab import sh, until
from test_apply import body, server_of, site
from test_apply_meanwhile import rows_of


def reasons(agent):
    return str(agent.status()["reasons"])


def kill(agent):
    agent.process.kill()
    agent.process.wait()


def failed_rollback(server, agent):
    """The id of a change whose NGINX was killed on probation."""
    client = begin(agent, {"sites/a.conf": site("new")}, server, probation_ms=20000)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    for pid in (server.pid, *server.workers()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    result = finish(client)
    assert result["result"] == "rollback-failed", result
    return result["id"]


def test_a_failed_rollback_is_remembered_until_a_change_succeeds(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    id = failed_rollback(server, agent)
    assert agent.stop() == 0
    agent.start()
    until(lambda: id in reasons(agent), "it is remembered without its NGINX")
    server.start()
    agent.wait_instance(server.pid)
    assert agent.stop() == 0
    agent.start()
    agent.wait_instance(server.pid)
    until(lambda: id in reasons(agent), "it is remembered with its NGINX")
    server.stop()
    until(lambda: agent.instance(server.pid) is None and id in reasons(agent), "it is not forgotten with its NGINX")
    server.start()
    agent.wait_instance(server.pid)
    assert apply(agent, {"sites/a.conf": site("new")}, server)["result"] == "applied"
    assert id not in reasons(agent)
    assert agent.stop() == 0
    agent.start()
    agent.wait_instance(server.pid)
    assert agent.cli("config", "history")[0] == 0
    assert id not in reasons(agent)


def test_adopting_what_stands_there_ends_a_failed_rollback(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    id = failed_rollback(server, agent)
    server.start()
    agent.wait_instance(server.pid)
    until(lambda: id in reasons(agent), "it is remembered")
    (server.dir / "sites/a.conf").write_text(site("by hand"))
    until(lambda: "sites/a.conf" in json.dumps(agent.api("config/drift")), "it is drift")
    code, said = agent.cli("config", "adopt")
    assert code == 0, said
    assert id not in reasons(agent)


def forget_the_end(agent, server):
    """As after a crash between the end of a change and its record."""
    assert apply(agent, {"sites/a.conf": site("new")}, server)["result"] == "applied"
    agent.stop()
    with contextlib.closing(sqlite3.connect(agent.dir / "lib/history.db")) as db:
        db.execute("UPDATE txn SET result = NULL")
        db.commit()


def test_a_change_without_an_end_is_judged_when_its_nginx_is_found(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    forget_the_end(agent, server)
    server.stop()
    agent.start()
    until(lambda: [r["result"] for r in rows_of(agent)] == ["unknown"], "nobody can look")
    server.start()
    agent.wait_instance(server.pid)
    until(lambda: [r["result"] for r in rows_of(agent)] == ["applied"], "it is judged")


def test_a_change_without_an_end_is_judged_in_the_root_of_its_nginx(lab):
    root = lab.dir / "root"
    for path in sh("ldd /usr/sbin/nginx | grep -o '/[^ ]*'").split() + ["/usr/sbin/nginx"]:
        sh(f"mkdir -p {root}{os.path.dirname(path)} && cp -L {path} {root}{path}")
    sh(f"cd {root} && mkdir -p run/x/sites var/log/nginx var/lib/nginx dev && mknod -m 666 dev/null c 1 3")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "run/x/nginx.conf").write_text(
        "user root; pid /run/nginx.pid; error_log /var/log/nginx/e.log; events {} http { include /run/x/sites/*.conf; }")
    (root / "run/x/sites/a.conf").write_text(site("old"))
    # The same path is another file outside.
    lab.mount("-t tmpfs tmpfs", "/run/x")
    (pathlib.Path("/run/x/sites")).mkdir()
    pathlib.Path("/run/x/sites/a.conf").write_text("neither\n")
    sh(["chroot", str(root), "/usr/sbin/nginx", "-c", "/run/x/nginx.conf"])
    pid = int(until(lambda: (root / "run/nginx.pid").read_text(), "it runs"))
    agent = agent_for(lab, folders=("/run/x",))
    agent.wait_instance(pid)
    code, said = agent.cli("nginx", "check", "--instance", "nginx", "--severity", "error")
    assert code == 0 and "0 errors" in said and "2 files" in said, said
    code, said = agent.cli("nginx", "check", "--instance", "nobody")
    assert code == 2 and "no NGINX" in said, said
    code, said = agent.cli("nginx", "check", "x.conf", "--instance", "nginx")
    assert code == 2 and "name neither" in said, said
    forget_the_end(agent, None)
    agent.start()
    until(lambda: [r["result"] for r in rows_of(agent)] == ["applied"], "it is judged")


def test_an_nginx_that_is_found_late_is_reloaded_with_the_old_files(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    client = begin(agent, {"sites/a.conf": site("new")}, server, probation_ms=60000)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    kill(agent)
    client.close()
    assert body() == "new"
    # It runs on, and nobody finds it: its name is not NGINX's.
    pid = server.pid
    for process in (pid, *server.workers()):
        os.kill(process, signal.SIGSTOP)
    pathlib.Path("/mnt/empty").mkdir(exist_ok=True)
    sh(f"mount --bind /mnt/empty /proc/{pid}")
    try:
        agent.start()
        until(lambda: "no such NGINX was found" in json.dumps(agent.api("config/applies")["last"]), "the answer does not wait")
        assert (server.dir / "sites/a.conf").read_text() == site("old") and not hidden(server)
    finally:
        sh(f"umount -l /proc/{pid}")
        for process in (pid, *server.workers()):
            os.kill(process, signal.SIGCONT)
    agent.wait_instance(pid)
    until(lambda: body() == "old", "it is reloaded")
    until(lambda: not applies(agent)["running"], "it is over")
    assert [r["result"] for r in rows_of(agent)] == ["rolled-back"]


def test_the_page_tells_no_content_of_a_change(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    result = apply(agent, {"sites/a.conf": site("new").replace("listen", "server_name secret.example; listen")}, server)
    assert result["result"] == "applied", result
    shown = agent.api(f"config/history/{result['number']}")
    assert shown["impact"] is None and shown["verdicts"] is None and "diffs" in shown["hidden"]
    assert "secret.example" not in json.dumps(shown)
    assert "secret.example" in agent.cli("config", "history", str(result["number"]), "--json")[1]
    agent.settings["outrider"]["status"]["diffs"] = True
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.api(f"config/history/{result['number']}")["impact"], "it is wanted")


def test_nothing_is_adopted_while_a_change_is_under_way(lab):
    """What stands there then may go again."""
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    assert apply(agent, {"sites/b.conf": "# b\n"}, server)["result"] == "applied"
    (server.dir / "sites/b.conf").write_text("# by hand\n")
    until(lambda: "sites/b.conf" in json.dumps(agent.api("config/drift")), "it is drift")
    flag = lab.put("flag", "x")
    text = f"server {{ listen 127.0.0.1:8101; root {lab.dir}; }}"
    client = begin(agent, {"sites/a.conf": text}, server, probe="http://127.0.0.1:8101/flag", probation_ms=60000)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    code, said = agent.cli("config", "adopt")
    assert code != 0 and "under way" in said, said
    flag.unlink()
    assert finish(client)["result"] == "rolled-back"
    until(lambda: agent.cli("config", "adopt")[0] == 0, lambda: str(agent.cli("config", "adopt")))
    until(lambda: "sites/b.conf" not in json.dumps(agent.api("config/drift")), "it is no drift")
