"""Changes of a real NGINX's configuration: proven, refused, rolled back, and never in between."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import threading

from applies import agent_for, apply, applies, begin, finish, finished, hidden, post, stream, tar_of, wait_finished
from lab import get, raw, sh, until

SITE = "server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"{text}\"; }} }}"


def body(port=8101, path="/"):
    answer = raw(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n", port)
    return answer.split(b"\r\n\r\n", 1)[1].decode() if b"\r\n\r\n" in answer else ""


def site(text, port=8101):
    return SITE.format(port=port, text=text)


def server_of(lab, name="n", port=8101, **options):
    """An NGINX whose only site is in sites/a.conf."""
    (lab.dir / name / "sites").mkdir(parents=True)
    (lab.dir / name / "sites/a.conf").write_text(site("old", port))
    return lab.nginx(f"include {lab.dir}/{name}/sites/*.conf;", name=name, **options)


def test_a_change_is_applied_and_served(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    assert body() == "old"
    result = apply(agent, {"sites/a.conf": site("new"), "sites/b.conf": site("b", 8102)}, message="a new site")
    assert result["result"] == "applied", result
    assert body() == "new" and body(8102) == "b"
    assert [(i["path"], i["action"]) for i in result["items"]] == [
        (f"{server.dir}/sites/a.conf", "update"), (f"{server.dir}/sites/b.conf", "add")]
    assert result["who"]["kind"] == "user" and result["who"]["uid"] == 0 and result["who"]["name"] == "root"
    assert result["message"] == "a new site" and result["took_ms"] < 20000 and result["history"] == ""
    assert not hidden(server)
    assert [s["name"] for s in result["steps"]] == ["plan", "policy", "stage", "swap", "test", "reload", "proof", "commit"]
    again = apply(agent, {"sites/a.conf": site("new")})
    assert again["result"] == "unchanged" and not again["touched"]
    assert wait_finished(agent, result["id"])["result"] == "applied"
    assert [e["data"]["id"] for e in agent.events("nginx.config.apply.started")][0] == result["id"]
    assert applies(agent)["last"][0]["result"] == "unchanged" and not applies(agent)["running"]


def test_what_nginx_refuses_is_told_in_its_words_and_changes_nothing(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    workers = server.workers()
    result = apply(agent, {"sites/a.conf": "server {\n  listen 127.0.0.1:8101;\n  no_such_thing on;\n}\n"})
    assert result["result"] == "invalid" and result["step"] == "test"
    assert 'unknown directive "no_such_thing"' in result["text"]
    finding = result["findings"][0]
    assert (finding["level"], finding["file"], finding["line"]) == ("emerg", f"{server.dir}/sites/a.conf", 3)
    assert body() == "old" and server.workers() == workers
    assert (server.dir / "sites/a.conf").read_text() == site("old") and not hidden(server)


def test_a_warning_is_an_error_where_it_is_to_be_one(lab):
    server = server_of(lab)
    agent = agent_for(lab, extra={"data_plane_config": {"nginx": {"treat_warnings_as_errors": True}}})
    agent.wait_instance(server.pid)
    twice = site("x").replace("location", "server_name a; location")
    result = apply(agent, {"sites/b.conf": twice + twice})
    assert result["result"] == "invalid" and "conflicting server name" in result["text"]
    assert body() == "old" and not (server.dir / "sites/b.conf").exists()


def test_a_dry_run_touches_nothing(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    result = apply(agent, {"sites/a.conf": site("new")}, dry_run=1)
    assert result["result"] == "planned" and result["dry_run"] and not result["touched"]
    assert [i["action"] for i in result["items"]] == ["update"]
    assert body() == "old" and not finished(agent, result["id"])


def test_what_lies_outside_of_the_folders_is_refused(lab):
    server = server_of(lab)
    agent = agent_for(lab, folders=(f"{lab.dir}/n/sites",))
    agent.wait_instance(server.pid)
    before = server.conf.read_text()
    result = apply(agent, {"nginx.conf": "events {}\n"})
    assert result["result"] == "denied" and "nginx.conf" in result["text"]
    assert server.conf.read_text() == before
    status, answer = post(agent, "/api/v1/config/apply", tar_of({"../../x": "y"}))
    assert status == 400 and ".." in answer["error"]["message"]


def test_applies_can_be_switched_off(lab):
    server = server_of(lab)
    agent = agent_for(lab, config={"apply": False})
    agent.wait_instance(server.pid)
    status, answer = post(agent, "/api/v1/config/apply", tar_of({"sites/a.conf": "x"}))
    assert status == 500 and "outrider.config.apply" in answer["error"]["message"]
    assert apply(agent, {"sites/a.conf": site("new")}, dry_run=1)["result"] == "planned"


def test_a_reload_that_fails_only_then_is_rolled_back(lab):
    """`nginx -t` does not see that the port is taken by another program."""
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    with socket.create_server(("127.0.0.1", 8105)):
        result = apply(agent, {"sites/b.conf": site("b", 8105)})
    assert result["result"] == "rolled-back" and result["step"] == "proof", result
    assert "Address already in use" in result["text"]
    assert any("bind() to 127.0.0.1:8105 failed" in f["text"] for f in result["findings"])
    assert body() == "old" and not (server.dir / "sites/b.conf").exists() and not hidden(server)
    assert apply(agent, {"sites/b.conf": site("b", 8105)})["result"] == "applied"
    assert body(8105) == "b"


def test_a_log_that_cannot_be_watched_is_said(lab):
    server = server_of(lab, head=f"user root; worker_processes 1; pid {lab.dir}/n/nginx.pid; error_log stderr info;",
                       start=False)
    subprocess.run(["/usr/sbin/nginx", "-p", server.dir, "-c", server.conf], stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)  # it keeps the descriptor
    until(server.takes_signals, "it runs")
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    result = apply(agent, {"sites/a.conf": site("new")})
    assert result["result"] == "applied"
    assert any("stderr could not be watched" in r for r in result["remarks"])
    with socket.create_server(("127.0.0.1", 8105)):
        result = apply(agent, {"sites/b.conf": site("b", 8105)})
    assert result["result"] == "rolled-back" and "went on with its old workers" in result["text"]
    assert body() == "new"


def test_an_nginx_without_a_master_is_left_alone(lab):
    server = server_of(lab, main="master_process off; daemon on;")
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    result = apply(agent, {"sites/a.conf": site("new")})
    assert result["result"] == "failed" and "master_process off" in result["text"]
    assert body() == "old"


def test_a_second_change_waits_and_a_third_takes_its_place(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    slow = lab.nginx("server { listen 127.0.0.1:8110; location / { return 200; } }", name="slow")
    agent.wait_instance(slow.pid)
    first = begin(agent, {"sites/a.conf": site("one")}, server, probe="http://127.0.0.1:8110/", probation_ms=1200)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "the first one is on probation")
    second = begin(agent, {"sites/a.conf": site("two")}, server)
    until(lambda: any(r["waits"] for r in applies(agent)["running"]), "the second one waits")
    third = begin(agent, {"sites/a.conf": site("three")}, server)
    other = apply(agent, {"nginx.conf": slow.conf.read_text() + "# x\n"}, slow)
    assert other["result"] == "applied"
    assert applies(agent)["running"], "another instance does not wait"
    results = [finish(c) for c in (second, first, third)]
    assert [r["result"] for r in results] == ["superseded", "applied", "applied"], results
    assert results[2]["id"] in results[0]["text"] and not results[0]["touched"]
    assert body() == "three"
    for result in results:
        wait_finished(agent, result["id"])
        assert len(finished(agent, result["id"])) == 1


def test_a_probe_that_fails_rolls_back(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    broken = "server { listen 127.0.0.1:8101; location / { return 503; } }"
    result = apply(agent, {"sites/a.conf": broken}, probe="http://127.0.0.1:8101/=200")
    assert result["result"] == "rolled-back" and result["step"] == "probation"
    assert "status 503, expected 200" in result["text"]
    assert body() == "old" and not hidden(server)
    result = apply(agent, {"sites/a.conf": site("new")}, probe="http://127.0.0.1:8101/=200=^old$")
    assert result["result"] == "rolled-back" and 'does not have "^old$"' in result["text"]
    assert body() == "old"
    result = apply(agent, {"sites/a.conf": site("new")}, probe="http://127.0.0.1:8101/=200=^new$")
    assert result["result"] == "applied"


def test_traffic_that_turns_bad_rolls_back(lab):
    server = server_of(lab)
    server.write(f"access_log {server.dir}/access.log; include {server.dir}/sites/*.conf;")
    server.reload()
    agent = agent_for(lab, interval="200ms")
    agent.wait_instance(server.pid)
    ended = threading.Event()

    def load():
        while not ended.is_set():
            with contextlib.suppress(OSError):
                get()

    threads = [threading.Thread(target=load, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: agent.totals()["2xx"] > 60, "the usual is known")
        broken = "server { listen 127.0.0.1:8101; location / { return 500; } }"
        result = apply(agent, {"sites/a.conf": broken}, probation_ms=15000, max_5xx_percent=20, min_requests=30)
        assert result["result"] == "rolled-back" and result["step"] == "probation", result
        assert "were answered with 5xx" in result["text"]
        assert body() == "old"
    finally:
        ended.set()
    for thread in threads:
        thread.join()


def test_progress_is_told_step_by_step(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    events = stream(agent, {"sites/a.conf": site("new")})
    steps = [(e["step"], e["state"]) for e in events if e["event"] == "step"]
    assert steps[:2] == [("plan", "begin"), ("plan", "done")] and ("proof", "done") in steps
    assert events[-1]["event"] == "result" and events[-1]["result"] == "applied"


def test_the_options_of_each_instance_are_its_own(lab):
    """Same binary, other -p, -c and -g: each is tested and reloaded as itself."""
    one = server_of(lab, "one", 8101)
    folder = lab.dir / "two"
    (folder / "conf").mkdir(parents=True)
    (folder / "logs").mkdir()
    conf = folder / "conf/site.conf"
    text = "pid nginx.pid; error_log logs/e.log; events {{ }} http {{ server {{ listen 127.0.0.1:8102; return 200 {}; }} }}"
    conf.write_text(text.format("old"))
    sh(["/usr/sbin/nginx", "-p", "two", "-c", "conf/site.conf", "-g", "worker_processes 2;"], cwd=lab.dir)
    pid = int(until(lambda: (folder / "nginx.pid").read_text(), "it runs"))
    agent = agent_for(lab)
    agent.wait_instance(pid, lambda i: len(i["workers"]) == 2)
    agent.wait_instance(one.pid)
    result = apply(agent, {"site.conf": text.format("new")}, instance=str(conf))
    assert result["result"] == "applied", result
    assert body(8102) == "new" and body(8101) == "old"
    result = apply(agent, {"site.conf": text.format("new") + "worker_processes 1;"}, instance=str(conf))
    assert result["result"] == "invalid" and '"worker_processes" directive is duplicate' in result["text"]


def test_a_master_that_dies_in_the_middle_is_said(lab):
    server = server_of(lab)
    agent = agent_for(lab)
    agent.wait_instance(server.pid)
    lab.nginx("server { listen 127.0.0.1:8110; location / { return 200; } }", name="probed")
    client = begin(agent, {"sites/a.conf": site("new")}, server, probe="http://127.0.0.1:8110/", probation_ms=20000)
    until(lambda: any(r["step"] == "probation" for r in applies(agent)["running"]), "it is on probation")
    for pid in (server.pid, *server.workers()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    result = finish(client)
    assert result["result"] == "rollback-failed" and "NGINX is not running" in result["text"], result
    assert (server.dir / "sites/a.conf").read_text() == site("old") and not hidden(server)
    assert any(result["id"] in str(r) for r in agent.status()["reasons"]), agent.status()["reasons"]
    server.start()
    assert body() == "old"
    agent.wait_instance(server.pid)
    assert apply(agent, {"sites/a.conf": site("new")}, server)["result"] == "applied"
    assert not any(result["id"] in str(r) for r in agent.status()["reasons"])


def test_inside_another_root(lab):
    """A chroot: its files, its binary, its logs."""
    root = lab.dir / "root"
    for path in sh("ldd /usr/sbin/nginx | grep -o '/[^ ]*'").split() + ["/usr/sbin/nginx"]:
        sh(f"mkdir -p {root}{os.path.dirname(path)} && cp -L {path} {root}{path}")
    sh(f"cd {root} && mkdir -p etc/nginx/sites var/log/nginx var/lib/nginx run dev usr/share/nginx && mknod -m 666 dev/null c 1 3")
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    text = ("user root; pid /run/nginx.pid; error_log /var/log/nginx/e.log; events {} "
            "http { include /etc/nginx/sites/*.conf; }")
    (root / "etc/nginx/nginx.conf").write_text(text)
    (root / "etc/nginx/sites/a.conf").write_text(site("old"))
    sh(["chroot", str(root), "/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"])
    pid = int(until(lambda: (root / "run/nginx.pid").read_text(), "it runs"))
    agent = agent_for(lab, folders=("/etc/nginx",))
    agent.wait_instance(pid)
    result = apply(agent, {"sites/a.conf": site("new")})
    assert result["result"] == "applied", result
    assert body() == "new" and (root / "etc/nginx/sites/a.conf").read_text() == site("new")
    assert not pathlib.Path("/etc/nginx/sites/a.conf").exists()
    result = apply(agent, {"sites/a.conf": "nonsense;"})
    assert result["result"] == "invalid" and "/etc/nginx/sites/a.conf:1" in f"{result['text']}"
    assert body() == "new"
