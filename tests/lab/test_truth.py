"""What the agent says is true: "fine" only while everything that was asked for works, reasons with texts otherwise."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from lab import BINARY, NOBODY, get, raw, sh, until

SITE = """access_log {log}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }}
    location /missing {{ return 404; }} location /broken {{ return 503; }}
    location = /status {{ stub_status; access_log off; }} }}"""


def site(lab, **options):
    return lab.nginx(SITE.format(log=lab.dir / "a.log"), **options)


def answering(agent, server):
    return agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"] and i["health"] == "healthy")


def one(agent, name):
    """The value of the only series of this name; None: there is none."""
    found = agent.series(name)
    assert len(found) <= 1, found
    return next(iter(found.values()), None)


def health_series(agent):
    return {k.split('"')[1]: v for k, v in agent.series("nginx_health").items()}


def reasons(agent):
    status = agent.status()
    assert (status["state"] == "ok") == (status["reasons"] == []), status["reasons"]
    assert [p["text"] for p in status["problems"]] == status["reasons"]
    return status["reasons"]


def wait_reason(agent, *words):
    return until(lambda: next((r for r in reasons(agent) if all(w in r for w in words)), None),
                 lambda: f"a reason with {words}; there are {reasons(agent)}\n{agent.text()[-3000:]}")


def test_all_well_is_fine_on_every_face(lab):
    server = site(lab)
    agent = lab.agent()
    seen = answering(agent, server)
    until(lambda: reasons(agent) == [], lambda: reasons(agent))
    assert one(agent, "nginx_up") == 1
    assert one(agent, "outrider_problems") == 0
    assert health_series(agent) == {"healthy": 1, "degraded": 0, "unhealthy": 0, "unknown": 0}
    info = next(iter(agent.series("nginx_instance_info")))
    assert f'version="{seen["version"]}"' in info and f'config="{server.conf}"' in info and f'instance_id="{seen["id"]}"' in info
    code, text = agent.cli("status")
    assert code == 0 and " is fine" in text
    assert "http://127.0.0.1:8101/status" in text


def test_the_only_worker_stopped_is_not_healthy(lab):
    server = site(lab)
    agent = lab.agent(extra={"client": {"http": {"timeout": "300ms"}}})
    answering(agent, server)
    worker = server.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    text = wait_reason(agent, "unhealthy", "1 of 1 worker processes are stopped", str(worker))
    assert "no request is answered" in text
    until(lambda: health_series(agent)["unhealthy"] == 1 and health_series(agent)["healthy"] == 0)
    until(lambda: one(agent, "nginx_up") == 0)
    assert agent.series("nginx_http_requests_total") == {}
    assert agent.instance(server.pid)["health"] == "unhealthy"
    code, said = agent.cli("status")
    assert code == 1 and "are stopped" in said
    assert one(agent, "outrider_problems") >= 1
    os.kill(worker, signal.SIGCONT)
    until(lambda: reasons(agent) == [], lambda: reasons(agent))
    assert health_series(agent)["healthy"] == 1
    until(lambda: one(agent, "nginx_up") == 1)


def test_one_of_two_workers_stopped_is_degraded(lab):
    server = site(lab, head=f"user root; worker_processes 2; pid {lab.dir}/n/nginx.pid; error_log {lab.dir}/n/e.log;")
    agent = lab.agent()
    agent.wait_instance(server.pid, lambda i: i["health"] == "healthy")
    until(lambda: len(server.workers()) == 2)
    os.kill(server.workers()[0], signal.SIGSTOP)
    agent.wait_instance(server.pid, lambda i: i["health"] == "degraded" and "1 of 2 worker" in i["health_text"])
    os.kill(server.workers()[0], signal.SIGCONT)
    agent.wait_instance(server.pid, lambda i: i["health"] == "healthy")


def test_a_helper_process_is_no_worker_that_answers(lab):
    """A cache manager still runs beside the only worker, which is stopped."""
    log = lab.dir / "a.log"
    server = lab.nginx(f"proxy_cache_path {lab.dir}/cache keys_zone=a:1m; " + SITE.format(log=log))
    agent = lab.agent()
    answering(agent, server)
    worker = next(p for p in server.workers() if "worker process" in pathlib.Path(f"/proc/{p}/cmdline").read_text())
    os.kill(worker, signal.SIGSTOP)
    agent.wait_instance(server.pid, lambda i: i["health"] == "unhealthy" and "1 of 1 worker" in i["health_text"])
    os.kill(worker, signal.SIGCONT)


def test_a_poll_that_stops_working_is_a_reason(lab):
    """The processes are as before, but a reload took stub_status away from where it was."""
    server = site(lab)
    agent = lab.agent(extra={"data_plane_config": {"nginx": {"api": {"url": "http://127.0.0.1:8101/status"}}}})
    answering(agent, server)
    server.write(SITE.format(log=lab.dir / "a.log").replace("/status", "/elsewhere"))
    server.reload()
    text = wait_reason(agent, "stub_status", "http://127.0.0.1:8101/status", "not a stub_status page")
    assert str(server.conf) in text
    until(lambda: one(agent, "nginx_up") == 0)
    assert agent.cli("status")[0] == 1


def test_without_stub_status_up_is_whether_the_master_runs(lab):
    server = lab.nginx("access_log off; server { listen 127.0.0.1:8101; location / { return 200 x; } }")
    agent = lab.agent()
    agent.wait_instance(server.pid)
    until(lambda: one(agent, "nginx_up") == 1)
    assert agent.series("nginx_http_requests_total") == {}
    assert agent.series("nginx_http_response_count_responses") == {}, "no log is read: no zeros"
    assert agent.series("nginx_http_responses_total") == {}
    os.kill(server.pid, signal.SIGSTOP)
    until(lambda: one(agent, "nginx_up") == 0)
    os.kill(server.pid, signal.SIGCONT)
    until(lambda: one(agent, "nginx_up") == 1)


def test_series_of_an_instance_that_is_gone_are_gone(lab):
    server = site(lab)
    agent = lab.agent()
    answering(agent, server)
    get("/")
    agent.samples(2)
    assert agent.series("nginx_http_responses_total") != {}
    server.stop()
    until(lambda: agent.instances() == [])
    until(lambda: [k for k in agent.metrics() if k.startswith("nginx_")] == [], lambda: agent.metrics())
    wait_reason(agent, "no running NGINX was found")


def test_a_rare_scraper_sees_every_response(lab):
    """Scrapes every fourth sample or so: the gauge loses what came between, the counter does not."""
    server = site(lab)
    agent = lab.agent(interval="200ms", level="info")
    answering(agent, server)
    agent.samples(2)
    sent = {"2xx": 0, "4xx": 0, "5xx": 0}
    seen = []
    for round_ in range(4):
        for n in range(40):
            for path, kind in (("/", "2xx"), ("/missing", "4xx"), ("/broken", "5xx")):
                if kind == "2xx" or n % (5 if kind == "4xx" else 10) == 0:
                    get(path)
                    sent[kind] += 1
            time.sleep(0.02)
        seen.append(totals(agent))
    until(lambda: {k: totals(agent)[k] for k in sent} == sent, lambda: f"{totals(agent)}, sent {sent}")
    assert all(a[k] <= b[k] for a, b in zip(seen, seen[1:]) for k in sent), "a counter goes back"
    assert 'nginx_http_response_count_responses{' in "".join(agent.metrics()), "the names of NGINX Agent stay"
    done = subprocess.run(["promtool", "check", "metrics"], input=agent.http("/metrics")[1], text=True, capture_output=True)
    known = "system_cpu_logical_count "  # the name is OpenTelemetry's, and NGINX Agent's
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip() and not line.startswith(known)]
    assert done.returncode in (0, 3) and said == [], said


def totals(agent):
    return {k.split('"')[1]: int(v) for k, v in agent.series("nginx_http_responses_total").items()}


def test_counters_go_on_over_a_restart_of_nginx(lab):
    server = site(lab)
    agent = lab.agent()
    answering(agent, server)
    agent.samples(1)
    for _ in range(5):
        get("/")
    until(lambda: totals(agent).get("2xx") == 5, lambda: totals(agent))
    requests = one(agent, "nginx_http_requests_total")
    server.stop()
    until(lambda: agent.instances() == [])
    server.start()
    answering(agent, server)
    agent.samples(2)
    for _ in range(3):
        get("/")
    until(lambda: totals(agent).get("2xx") == 8, lambda: totals(agent))
    until(lambda: (one(agent, "nginx_http_requests_total") or 0) >= requests + 3)


def test_a_master_that_cannot_be_looked_at_is_unknown_and_not_dead(lab):
    """The agent has not one descriptor left: that is its own lack."""
    server = site(lab)
    agent = lab.agent(level="info")
    answering(agent, server)
    unknown = []
    for _ in range(10):  # until it had a turn to look in such a time: it cannot be asked then
        sh(["prlimit", f"--pid={agent.process.pid}", "--nofile=3:4096"])
        time.sleep(2)
        sh(["prlimit", f"--pid={agent.process.pid}", "--nofile=1024:4096"])
        events = [e["data"] for e in until(lambda: agent.events("nginx.health.changed"))]
        texts = [e["description"] for e in events]
        assert not any("is not running" in t or "not found" in t for t in texts), texts
        unknown = [e for e in events if e["status"] == "unknown"]
        if unknown:
            break
    assert unknown and "Too many open files" in unknown[0]["description"], events
    until(lambda: agent.instance(server.pid)["health"] == "healthy", lambda: agent.instances())


def test_eight_thousand_logs_are_cut_at_items(lab):
    n, deep = 8000, "v" * 100
    (lab.dir / "logs" / deep).mkdir(parents=True)
    servers = "".join(f"server {{ listen 127.0.0.1:8101; server_name h{i}.test; access_log {lab.dir}/logs/{deep}/{i}.log; "
                      f"location / {{ return 200 x; }} }}\n" for i in range(n))
    server = lab.nginx("server_names_hash_max_size 262144; server_names_hash_bucket_size 128; server { listen 127.0.0.1:8101 "
                       "default_server; location = /status { stub_status; access_log off; } }\n" + servers,
                       main="worker_rlimit_nofile 20000;")
    agent = lab.agent(interval="2s", level="info", wrap=["prlimit", "--nofile=20000:20000"])
    until(lambda: agent.instance(server.pid), lambda: agent.text()[-2000:], 60)
    seen = agent.instance(server.pid)
    listed, more = len(seen["access_logs"]), seen["truncated"]["access_logs"]
    assert 10 <= listed and listed + more >= n
    assert all(path.endswith(".log") for path in seen["access_logs"])
    for path in ("/api/v1/status", "/api/v1/instances", "/api/v1/events?last=3", "/metrics", "/"):
        assert agent.http(path)[0] == 200, path
    event = agent.events("nginx.instance.started")[0]
    assert event["data"]["truncated"]["access_logs"] == more
    code, text = agent.cli("status")
    assert code in (0, 1) and f"{listed + more} access logs" in text, text
    frames = raw("GET /api/v1/events/stream?last=50 HTTP/1.1\r\nHost: localhost\r\n\r\n", 9180, timeout=2, total=2)
    assert b"nginx.instance.started" in frames


def test_status_fits_a_narrow_terminal(lab):
    server = site(lab)
    agent = lab.agent()
    answering(agent, server)
    os.kill(server.workers()[0], signal.SIGSTOP)
    wait_reason(agent, "stopped")
    for width in (40, 60, 80):
        env = {**os.environ, "COLUMNS": str(width), "ASAN_OPTIONS": "detect_leaks=1"}
        done = subprocess.run([BINARY, "status", "--socket", str(agent.socket)], capture_output=True, text=True, env=env)
        words = [w for w in done.stdout.split() if len(w) > width - 6]
        wide = [line for line in done.stdout.splitlines() if len(line) > width and not any(w in line for w in words)]
        assert wide == [], f"{width}: {wide}"
        assert "are stopped" in " ".join(done.stdout.split())
    os.kill(server.workers()[0], signal.SIGCONT)


def test_json_of_status_is_what_the_api_says(lab):
    agent = lab.agent()
    code, text = agent.cli("status", "--json")
    status = json.loads(text)
    assert code == 1 and status["state"] == "degraded"
    assert status["problems"][0] == {"kind": "no_nginx", "instance": None, "since": None, "text": "no running NGINX was found"}
    assert status["reasons_more"] == 0


def test_an_unreadable_log_is_a_reason_and_gives_no_zeros(lab):
    """The agent of another user than root: it sees the processes, but may not read the log."""
    log = lab.put("a.log", "", 0o600)
    server = lab.nginx(SITE.format(log=log))
    agent = lab.agent(user=NOBODY)
    agent.wait_instance(server.pid, lambda i: i["metrics"])
    text = wait_reason(agent, str(log))
    assert "denied" in text
    agent.samples(2)
    get("/")
    agent.samples(2)
    assert agent.series("nginx_http_response_count_responses") == {}
    assert agent.series("nginx_http_responses_total") == {}
    assert agent.cli("status")[0] == 1
    log.chmod(0o644)
    until(lambda: not any(str(log) in r for r in reasons(agent)), lambda: reasons(agent))
    until(lambda: agent.series("nginx_http_responses_total"))


def test_a_taken_port_is_a_reason_until_it_is_free(lab):
    site(lab)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", 9180))
        squatter.listen()
        agent = lab.agent()
        code, text = until(lambda: (found := agent.cli("status"))[1].count("9180") and found)
        assert code == 1 and "degraded" in text
        status = json.loads(agent.cli("status", "--json")[1])
        assert any("9180" in p["text"] and p["instance"] is None for p in status["problems"]), status["problems"]
    until(lambda: agent.http("/metrics")[0] == 200)
    until(lambda: not any("9180" in r for r in reasons(agent)), lambda: reasons(agent))


def test_lines_that_cannot_be_understood_are_a_reason(lab):
    """The file is written by something else than the format says."""
    log = lab.dir / "a.log"
    lab.nginx(SITE.format(log=log))
    agent = lab.agent()
    agent.samples(1)
    with open(log, "a") as f:
        f.write("this is no line of a log\n" * 50)
    wait_reason(agent, str(log))
    assert one(agent, "outrider_problems") >= 1
