"""What a configuration says, what NGINX has loaded of it, and what the agent may read of it."""

import os
import signal

import pytest

import lab as laboratory
from lab import NOBODY, get, sh, until

STATUS = "location = /s { stub_status; access_log off; }"


def page(log, port=8101):
    return f"access_log {log}; server {{ listen 127.0.0.1:{port}; {STATUS} location / {{ return 200 x; }} }}"


def reasons(agent):
    return "\n".join(agent.cli("status")[1].splitlines())


def counted(agent, before):
    after = agent.samples(2)
    return {k: after[k] - before[k] for k in ("2xx", "4xx", "5xx", "log_lines")}


def ask(n, port, path="/"):
    for _ in range(n):
        get(path, port)


# ---- what is loaded and what is on disk ----


def kill_workers(server):
    old = server.workers()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(now := server.workers()) == len(old) and not set(now) & set(old), "new workers")


@pytest.mark.parametrize("workers", [1, 3])
def test_an_edit_counts_when_nginx_loads_it(lab, workers):
    server = lab.nginx(page(lab.dir / "a.log"), start=False)
    server.head = server.head.replace("worker_processes 1", f"worker_processes {workers}")
    server.write(page(lab.dir / "a.log"))
    server.start()
    agent = lab.agent()
    seen = agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])
    assert not seen["config_changed"]
    server.write(page(lab.dir / "b.log", 8109))
    seen = agent.wait_instance(server.pid, lambda i: i["config_changed"])
    assert seen["access_logs"] == [f"{lab.dir}/a.log"] and seen["stub_status"].endswith(":8101/s")
    assert "not as NGINX loaded them" in reasons(agent)
    kill_workers(server)
    agent.wait_instance(server.pid, lambda i: i["workers"] == sorted(server.workers()))
    before = agent.samples(2)
    ask(5, 8101)
    assert counted(agent, before)["2xx"] == 5
    assert agent.instance(server.pid)["access_logs"] == [f"{lab.dir}/a.log"]
    server.reload()
    seen = agent.wait_instance(server.pid, lambda i: i["access_logs"] == [f"{lab.dir}/b.log"])
    agent.wait_instance(server.pid, lambda i: not i["config_changed"])
    before = agent.samples(2)
    ask(5, 8109)
    assert counted(agent, before)["2xx"] == 5
    assert agent.cli("status")[0] == 0, reasons(agent)


def test_a_touched_or_mended_file_is_no_change(lab):
    text = page(lab.dir / "a.log")
    server = lab.nginx(text)
    agent = lab.agent()
    agent.wait_instance(server.pid)
    os.utime(server.conf)
    server.conf.chmod(0o640)
    agent.samples(4)
    assert not agent.instance(server.pid)["config_changed"]
    server.write(page(lab.dir / "b.log"))
    agent.wait_instance(server.pid, lambda i: i["config_changed"])
    server.write(text)
    agent.wait_instance(server.pid, lambda i: not i["config_changed"])


def test_a_file_that_joins_a_pattern_is_a_change(lab):
    lab.put("n/conf.d/a.conf", page(lab.dir / "a.log"))
    server = lab.nginx("include conf.d/*.conf;")
    agent = lab.agent()
    agent.wait_instance(server.pid)
    late = lab.put("n/conf.d/b.conf", "server { listen 127.0.0.1:8102; access_log /run/lab/b.log; }")
    seen = agent.wait_instance(server.pid, lambda i: i["config_changed"])
    assert seen["access_logs"] == [f"{lab.dir}/a.log"]
    late.unlink()
    agent.wait_instance(server.pid, lambda i: not i["config_changed"])


def test_a_refused_reload_keeps_what_is_loaded(lab):
    text = page(lab.dir / "a.log")
    server = lab.nginx(text)
    agent = lab.agent()
    agent.wait_instance(server.pid)
    server.conf.write_text(text + "}")
    server.signal(signal.SIGHUP)
    until(lambda: "emerg" in server.error_log.read_text(), "NGINX refuses it")
    seen = agent.wait_instance(server.pid, lambda i: i["config_changed"])
    assert (seen["config_error"], seen["access_logs"]) == ("", [f"{lab.dir}/a.log"])
    late = lab.agent(name="late", port=9181)
    seen = late.wait_instance(server.pid)
    assert seen["config_error"] and seen["config_changed"]
    assert "was changed after NGINX loaded its configuration" in reasons(late)
    server.write(page(lab.dir / "b.log"))
    server.reload()
    for a in (agent, late):
        seen = a.wait_instance(server.pid, lambda i: i["access_logs"] == [f"{lab.dir}/b.log"])
        assert not seen["config_changed"] and seen["config_error"] == ""


# ---- what cannot be read ----


def test_an_unreadable_include_is_named_and_walked_past(lab):
    secret = lab.put("n/secret.inc", "set $token abc;\n", mode=0o600)
    lab.put("n/conf.d/0.conf", "deny 192.0.2.1;\n", mode=0o600)
    lab.put("n/conf.d/a.conf", f"server {{ listen 127.0.0.1:8101; include {secret}; access_log {lab.dir}/a.log; {STATUS}"
            " location / { return 200 x; } } server { listen 127.0.0.1:8102; }")
    server = lab.nginx("include conf.d/*.conf;")
    agent = lab.agent(user=NOBODY)
    seen = agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])
    assert seen["config_error"] == ""
    assert seen["access_logs"] == [f"{lab.dir}/a.log"]  # no default log: 0.conf may name another one
    said = reasons(agent)
    assert f"{lab.dir}/n/conf.d/0.conf: Permission denied" in said
    assert f"conf.d/a.conf:1: cannot open {secret}" in said
    assert "default access log" in said
    before = agent.samples(1)
    ask(5, 8101)
    assert counted(agent, before)["2xx"] == 5


@pytest.mark.parametrize("mounts", ["ours", "its own"])
def test_an_agent_without_rights_takes_only_what_is_surely_of_that_nginx(lab, mounts):
    """It cannot see the root folder of root's process: the pid file in ours has to name it."""
    server = lab.nginx(page(lab.dir / "a.log"), start=False)
    if mounts == "its own":  # the same path leads to another file there
        lab.put("there/nginx.conf", server.conf.read_text().replace("a.log", "b.log"))
        sh(f"unshare -m sh -c 'mount --bind {lab.dir}/there {server.dir} && {server.binary} -p {server.dir} "
           f"-c {server.conf}'")
        pid = int((lab.dir / "there/nginx.pid").read_text())
    else:
        server.start()
        pid = server.pid
    agent = lab.agent(user=NOBODY)
    seen = agent.wait_instance(pid, lambda i: i["metrics"])
    if mounts == "ours":
        assert (seen["config_error"], seen["access_logs"]) == ("", [f"{lab.dir}/a.log"])
    else:
        assert "is not known" in seen["config_error"] and seen["access_logs"] == []


# ---- which logs count ----

FORMATS = """log_format main '$remote_addr "$request" $status $body_bytes_sent';
log_format js escape=json '{"t":"$time_iso8601","status":"$status","r":"$request"}';
log_format short '$status $request_time';
map $status $bad { ~^[45] 1; default 0; }
"""
LEVELS = {
    "one": ("access_log L/a main;", (5, 0, 5)),
    "two": ("access_log L/a main; access_log L/b js;", (5, 0, 10)),
    "one file in two formats": ("access_log L/a main; access_log L/a short;", (5, 0, 10)),
    "one file twice": ("access_log L/a main; access_log L/a main;", (5, 0, 10)),
    "all and errors": ("access_log L/a main; access_log L/b main if=$bad;", (5, 3, 11)),
    "errors and all": ("access_log L/b main if=$bad; access_log L/a short;", (5, 3, 11)),
    "file and syslog": ("access_log syslog:server=127.0.0.1:5140 main; access_log L/a main;", (5, 0, 5)),
    "no status in the first": ("log_format none '$request'; access_log L/a none; access_log L/b short;", (5, 0, 10)),
    "a device and a file": ("access_log L/null main; access_log L/a main;", (5, 0, 5)),
}


@pytest.mark.parametrize("name", LEVELS)
def test_of_the_logs_of_a_level_one_counts(lab, name):
    logs, (good, bad, lines) = LEVELS[name]
    os.symlink("/dev/null", lab.dir / "null")
    formats, _, logs = logs.rpartition("'$request';")
    logs = logs.replace("L/", f"{lab.dir}/")
    server = lab.nginx(FORMATS + (formats + "'$request';" if formats else "") +
                       f"server {{ listen 127.0.0.1:8101; {logs} location / {{ return 200 x; }} "
                       f"location /bad {{ return 503; }} }}")
    agent = lab.agent()
    agent.wait_instance(server.pid)
    before = agent.samples(1)
    ask(good, 8101)
    ask(bad, 8101, "/bad")
    got = counted(agent, before)
    assert (got["2xx"], got["5xx"], got["log_lines"]) == (good, bad, lines)
    assert agent.cli("status")[0] == 0, reasons(agent)


def test_one_file_may_have_a_format_for_each_server(lab):
    http = FORMATS
    for i, form in enumerate(("main", "js", "short")):
        http += f"server {{ listen 127.0.0.1:{8101 + i}; access_log {lab.dir}/a {form}; location / {{ return 200 x; }} }}"
    server = lab.nginx(http)
    agent = lab.agent()
    agent.wait_instance(server.pid)
    before = agent.samples(1)
    for port, n in ((8101, 2), (8102, 3), (8103, 4)):
        ask(n, port)
    assert counted(agent, before) == {"2xx": 9, "4xx": 0, "5xx": 0, "log_lines": 9}


def test_what_is_logged_in_part_or_elsewhere_is_said(lab):
    server = lab.nginx(FORMATS + f"""server {{ listen 127.0.0.1:8101; access_log {lab.dir}/bad main if=$bad;
        location / {{ return 200 x; }} location /bad {{ return 503; }} }}
        server {{ listen 127.0.0.1:8102; access_log syslog:server=127.0.0.1:5140; }}
        server {{ listen 127.0.0.1:8103; access_log {lab.dir}/$host.log; }}""")
    agent = lab.agent()
    agent.wait_instance(server.pid)
    said = reasons(agent)
    assert f"{lab.dir}/bad has those for which if=$bad holds" in said
    assert "they are logged to syslog:server=127.0.0.1:5140 only" in said
    assert f"{lab.dir}/$host.log (a name with variables) only" in said
    before = agent.samples(1)
    ask(2, 8101)
    ask(3, 8101, "/bad")
    assert counted(agent, before) == {"2xx": 0, "4xx": 0, "5xx": 3, "log_lines": 3}


@pytest.mark.parametrize("kind", ["/dev/stdout", "/proc/self/fd/1", "/dev/null", "fifo"])
def test_a_log_that_is_no_file_gives_a_reason_and_no_series(lab, kind):
    log = lab.dir / "l.log"
    if kind == "fifo":
        os.mkfifo(log)
        keep = os.open(log, os.O_RDWR)
    else:
        os.symlink(kind, log)
    server = lab.nginx(page(log), start=False)
    sh(f"{server.binary} -p {server.dir} -c {server.conf} > {lab.dir}/out 2>&1")
    agent = lab.agent()
    agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])
    ask(3, 8101)
    agent.process.send_signal(signal.SIGHUP)  # it writes to its own standard output
    assert agent.samples(2)["log_lines"] == 0
    assert not agent.series("nginx_http_response_count")
    assert str(log) in reasons(agent) and agent.cli("status")[0] != 0
    if kind == "fifo":
        os.close(keep)
        with pytest.raises(OSError):  # nobody reads it
            os.open(log, os.O_WRONLY | os.O_NONBLOCK)


# ---- a stranger's files ----


def stranger_server(lab, http):
    """An NGINX of a user, whose configuration then says something else."""
    home = lab.dir / "home"
    home.mkdir()
    server = lab.nginx("server { listen 127.0.0.1:8101; }", name="home/n", start=False, main="",
                       prefix=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"])
    server.head = f"worker_processes 1; pid {server.pid_file}; error_log {server.error_log};"
    server.write("access_log off; server { listen 127.0.0.1:8101; }")
    sh(f"chown -R {NOBODY}:{NOBODY} {home}")
    server.start()
    server.write(http)
    return server


def test_a_strangers_configuration_opens_nothing_that_it_could_not(lab):
    os.mkfifo("/run/lab-fifo")
    secret = lab.put("secret", "topsecret { word;\n", mode=0o600)
    closed = lab.put("closed/open", "hidden word;\n")
    closed.parent.chmod(0o700)
    server = stranger_server(lab, f"include /dev/zero; include /run/lab-fifo; include {secret}; include {closed};"
                             f"include /proc/self/environ; include {lab.dir}/closed/*;"
                             f"server {{ listen 127.0.0.1:8101; access_log {secret}; }}")
    trace = lab.dir / "trace"
    agent = lab.agent(wrap=["strace", "-D", "-f", "-qq", "-e", "trace=open,openat", "-o", str(trace)],
                      env={"ASAN_OPTIONS": "detect_leaks=0"})
    seen = agent.wait_instance(server.pid, lambda i: i["remarks"])
    agent.samples(2)
    said = "\n".join(seen["remarks"]) + seen["config_error"]
    for what in ("/dev/zero is a device", "/run/lab-fifo is a FIFO", f"{secret}: Permission denied",
                 f"{closed}: Permission denied", "/proc/self/environ is made up by the kernel"):
        assert what in said, said
    assert "word" not in agent.http("/api/v1/status")[1] + agent.text()
    assert agent.totals()["log_lines"] == 0
    opened = trace.read_text()
    assert "msg=ready" in opened or "/proc" in opened  # it was traced
    for line in opened.splitlines():
        if "/dev/zero" in line or "lab-fifo" in line:
            raise AssertionError(line)
        if str(secret) in line and " = -1 " not in line:
            raise AssertionError(line)
    os.unlink("/run/lab-fifo")


def test_errors_quote_nothing_of_a_file(lab):
    server = lab.nginx(page(lab.dir / "a.log"))
    server.conf.write_text("http { include /etc/shadow; }\n")
    agent = lab.agent()
    seen = agent.wait_instance(server.pid)
    assert seen["config_error"].startswith("/etc/shadow:")
    for word in open("/etc/shadow").read().replace(":", " ").split():
        assert len(word) < 4 or word not in seen["config_error"]


# ---- settings ----


def test_allowed_directories_bound_what_is_read(lab):
    inside, outside = lab.dir / "in", lab.dir / "out"
    lab.put("out/b.conf", f"server {{ listen 127.0.0.1:8102; access_log {inside}/b.log; }}")
    lab.put("in/here.conf", "server { listen 127.0.0.1:8103; access_log /run/lab/in/c.log; }")
    os.symlink("../out/b.conf", inside / "link.conf")
    os.symlink("../in/here.conf", outside / "back.conf")
    server = lab.nginx(f"include {inside}/link.conf; include {outside}/b.conf; include {outside}/back.conf;"
                       f"server {{ listen 127.0.0.1:8101; access_log {inside}/a.log; access_log {outside}/a.log; "
                       f"location / {{ return 200 x; }} }}", name="in")
    agent = lab.agent(extra={"allowed_directories": [str(inside)]})
    seen = agent.wait_instance(server.pid, lambda i: i["metrics"])
    said = "\n".join(seen["remarks"])
    assert f"{inside}/link.conf is outside of allowed_directories" in said
    assert f"{outside}/b.conf is outside of allowed_directories" in said
    assert seen["access_logs"] == [f"{inside}/c.log", f"{inside}/a.log", f"{outside}/a.log"]
    before = agent.samples(1)
    ask(4, 8101)
    got = counted(agent, before)
    assert (got["2xx"], got["log_lines"]) == (4, 4)
    assert "outside of allowed_directories" in reasons(agent)
    agent.settings["allowed_directories"] = [str(lab.dir)]
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    agent.wait_instance(server.pid, lambda i: not i["remarks"] and len(i["access_logs"]) == 4)


def test_a_configuration_outside_of_allowed_directories_is_not_read(lab):
    server = lab.nginx(page(lab.dir / "a.log"))
    agent = lab.agent(extra={"allowed_directories": ["/nonexistent"]})
    seen = agent.wait_instance(server.pid)
    assert seen["config_error"] == f"{server.conf} is outside of allowed_directories"
    assert (seen["access_logs"], seen["stub_status"]) == ([], "")
    assert "outside of allowed_directories" in reasons(agent)


def test_of_excluded_logs_another_one_counts(lab):
    server = lab.nginx(f"""server {{ listen 127.0.0.1:8101; access_log {lab.dir}/all.log; access_log {lab.dir}/a.log;
        location / {{ return 200 x; }} }}""")
    agent = lab.agent(extra={"data_plane_config": {"nginx": {"exclude_logs": ["/all[.]log$"]}}})
    agent.wait_instance(server.pid)
    before = agent.samples(1)
    ask(4, 8101)
    assert counted(agent, before) == {"2xx": 4, "4xx": 0, "5xx": 0, "log_lines": 4}
    assert agent.cli("status")[0] == 0, reasons(agent)


def test_without_the_feature_metrics_nothing_is_sampled(lab):
    server = lab.nginx(page(lab.dir / "a.log"))
    agent = lab.agent(extra={"features": ["configuration"]})
    agent.wait_instance(server.pid)
    ask(3, 8101)
    before = laboratory.time.monotonic()
    until(lambda: laboratory.time.monotonic() > before + 1.5)
    assert agent.events("nginx.metrics.sampled") == []
    assert not agent.series("nginx_http_requests_total") and not agent.series("nginx_http_response_count")
    agent.settings["features"] = ["metrics"]
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    agent.samples(2)
    agent.settings["features"] = []
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: not agent.series("nginx_http_response_count"))
