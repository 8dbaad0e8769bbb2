"""The agent and real NGINX instances: found, restarted, upgraded, missing, two of them."""

import os
import re
import signal
import socket
import time

import pytest

import support
from support import wait_for


def only_instance(agent):
    found = agent.instances()
    return found[0] if len(found) == 1 else None


def test_a_running_instance_is_found_with_its_facts(nginx, agents):
    agent = agents()
    seen = wait_for(lambda: next((i for i in agent.instances() if i["pid"] == nginx.pid()), None), "instance is listed")
    assert seen["binary"] == os.path.realpath(support.NGINX)
    assert seen["config"] == str(nginx.conf)
    assert seen["prefix"].rstrip("/") == str(nginx.home)
    assert seen["version"].count(".") == 2
    assert seen["stub_status"] == f"http://127.0.0.1:{nginx.status_port}/status"
    wait_for(lambda: len(instance_by_pid(agent, nginx.pid())["workers"]) == 2, "both workers are seen")


def instance_by_pid(agent, pid):
    return next((i for i in agent.instances() if i["pid"] == pid), None)


def instance_by_conf(agent, server):
    return next((i for i in agent.instances() if i["config"] == str(server.conf)), None)


def series(agent, name, instance):
    """{first label or "": value} of one metric of one instance."""
    found = {}
    for line in agent.http("/metrics").splitlines():
        match = re.match(rf"{name}\{{(.*)\}} (\S+)$", line)
        if match and f'instance_id="{instance}"' in match[1]:
            labels = re.findall(r'(\w+)="([^"]*)"', match[1])
            found["" if labels[0][0] == "instance_id" else labels[0][1]] = float(match[2])
    return found


def responses(agent, instance):
    """Responses by class of status since the agent began, without the classes that had none."""
    return {k: int(v) for k, v in series(agent, "nginx_http_responses_total", instance).items() if v > 0}


def sampled(agent, instance):
    """Waits for a sample that holds status and logs: from here on everything is counted."""
    agent.wait_event("nginx.metrics.sampled", lambda e: e["data"]["id"] == instance and e["data"]["status_ok"] and e["data"]["logs_ok"])


def test_what_was_sent_is_what_the_metrics_say(nginx, agents):
    agent = agents()
    seen = wait_for(lambda: instance_by_pid(agent, nginx.pid()), "instance")
    sampled(agent, seen["id"])
    first = series(agent, "nginx_http_requests_total", seen["id"])[""]
    samples = len(agent.events("nginx.metrics.sampled"))
    before = responses(agent, seen["id"])
    for path, times in (("/", 50), ("/missing", 30), ("/broken", 20)):
        for _ in range(times):
            nginx.get(path)
    wanted = {k: before.get(k, 0) + n for k, n in {"2xx": 50, "4xx": 30, "5xx": 20}.items()}
    wait_for(lambda: responses(agent, seen["id"]) == wanted, lambda: f"{responses(agent, seen['id'])}, not {wanted}")
    wait_for(lambda: series(agent, "nginx_http_requests_total", seen["id"])[""] - first >= 100, "requests are counted")
    later = len(agent.events("nginx.metrics.sampled")) + 3
    wait_for(lambda: len(agent.events("nginx.metrics.sampled")) >= later, "samples without requests")
    assert responses(agent, seen["id"]) == wanted, "who looks later sees the same"
    # Each look at stub_status is a request, too.
    looks = len(agent.events("nginx.metrics.sampled")) - samples + 2
    assert series(agent, "nginx_http_requests_total", seen["id"])[""] - first <= 100 + looks
    active = series(agent, "nginx_http_connection_count_connections", seen["id"])
    assert set(active) == {"ACTIVE", "READING", "WRITING", "WAITING"} and active["ACTIVE"] >= 1
    assert series(agent, "nginx_up", seen["id"]) == {"": 1}
    # The counter says the same as all the samples together.
    total = {}
    for event in agent.events("nginx.metrics.sampled"):
        for key, n in event["data"]["responses"].items():
            total[key] = total.get(key, 0) + n
    assert {k: n for k, n in total.items() if n} == responses(agent, seen["id"])


FORGERIES = (
    'Mozilla" 500 "',
    '","status":"503","x":"',
    '\\","status":"504","x":"',
    '\\\\","status":"505',
    '"}\t{"status":"500"}',
    'x\\" 599 "',
)


def ask_as(port, agent_name, path="/"):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: {agent_name}\r\n\r\n"
        client.sendall(request.encode("latin-1"))
        while client.recv(4096):
            pass


@pytest.mark.parametrize("escape", ["json", "default"])
def test_a_client_cannot_write_a_status_into_a_log(folder, agents, escape):
    """Its name stands before the status, and holds quotes and backslashes in all ways."""
    server, port = support.Nginx(folder / "forged"), support.free_port()
    log = server.home / "forged.log"
    server.start(f"""log_format forged escape={escape} '{{"agent":"$http_user_agent","status":"$status"}}';
        server {{ listen 127.0.0.1:{port}; access_log {log} forged; location / {{ return 200; }}
                  location /missing {{ return 404; }} }}""")
    try:
        agent = agents()
        seen = wait_for(lambda: instance_by_conf(agent, server), "instance")
        sampled(agent, seen["id"])
        before = responses(agent, seen["id"])
        for name in FORGERIES:
            ask_as(port, name)
            ask_as(port, name, "/missing")
        n = len(FORGERIES)
        wanted = {**before, "2xx": before.get("2xx", 0) + n, "4xx": before.get("4xx", 0) + n}
        wait_for(lambda: responses(agent, seen["id"]) == wanted, lambda: f"{responses(agent, seen['id'])}, not {wanted}")
        samples = len(agent.events("nginx.metrics.sampled"))
        wait_for(lambda: len(agent.events("nginx.metrics.sampled")) > samples + 2, "two samples more")
        assert responses(agent, seen["id"]) == wanted
    finally:
        server.stop()


def test_a_rotation_loses_no_line_that_is_in_the_files(nginx, agents):
    """Lines are written between the renaming and the signal, as NGINX does that has the old file open."""
    agent = agents()
    seen = wait_for(lambda: instance_by_pid(agent, nginx.pid()), "instance")
    sampled(agent, seen["id"])
    before = responses(agent, seen["id"]).get("2xx", 0)
    sent = 0
    for turn in range(3):
        for _ in range(20):
            nginx.get("/")
        nginx.access_log.rename(f"{nginx.access_log}.{turn}")
        if turn == 1:
            nginx.access_log.touch()  # as logrotate's "create"
        samples = len(agent.events("nginx.metrics.sampled"))
        for _ in range(20):  # into the renamed file
            nginx.get("/")
        # The agent looks while the renamed file is still the one that is written.
        wait_for(lambda: len(agent.events("nginx.metrics.sampled")) > samples + 2, "two samples")
        for _ in range(20):
            nginx.get("/")
        nginx.signal(signal.SIGUSR1)
        wait_for(lambda: nginx.access_log.exists(), "NGINX opens its log anew")
        for _ in range(20):
            nginx.get("/")
        sent += 80
    wait_for(lambda: responses(agent, seen["id"]).get("2xx", 0) - before >= sent,
             lambda: f"{responses(agent, seen['id'])}, sent {sent}")
    assert responses(agent, seen["id"])["2xx"] - before == sent


def test_a_restart_is_a_stop_and_a_start_of_the_same_instance(nginx, agents):
    agent = agents()
    first = wait_for(lambda: instance_by_pid(agent, nginx.pid()), "first master")
    nginx.stop()
    agent.wait_event("nginx.instance.stopped", lambda e: e["data"]["id"] == first["id"])
    nginx.start()
    second = wait_for(lambda: instance_by_pid(agent, nginx.pid()), "second master")
    assert second["id"] == first["id"]
    assert second["pid"] != first["pid"]
    wait_for(lambda: instance_by_pid(agent, nginx.pid())["health"] == "healthy", "healthy again")


def test_a_killed_master_is_reported_at_once(nginx, agents):
    agent = agents()
    first = wait_for(lambda: instance_by_pid(agent, nginx.pid()), "master")
    workers = first["workers"]
    os.kill(nginx.pid(), signal.SIGKILL)
    try:
        agent.wait_event("nginx.instance.stopped", lambda e: e["data"]["id"] == first["id"])
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)


def test_an_upgrade_in_place_keeps_one_instance_and_its_counters(nginx, agents):
    """The new master counts from 0 and answers in turn with the old one: what was counted stays, nothing counts twice."""
    agent = agents()
    old = nginx.pid()
    before = wait_for(lambda: instance_by_pid(agent, old), "old master")
    sampled(agent, before["id"])
    counted, lines = responses(agent, before["id"]).get("2xx", 0), count_lines(nginx.access_log)
    for _ in range(300):
        nginx.get("/")
    wait_for(lambda: series(agent, "nginx_http_requests_total", before["id"])[""] >= 300, "they are counted")
    requests = series(agent, "nginx_http_requests_total", before["id"])[""]
    samples = len(agent.events("nginx.metrics.sampled"))
    nginx.signal(signal.SIGUSR2)
    wait_for(lambda: nginx.pid() not in (None, old), "new master wrote its pid")
    new = nginx.pid()
    wait_for(lambda: nginx.answers(), "answers during the upgrade")
    seen = [requests]
    for _ in range(20):  # both answer
        nginx.get("/")
        seen += series(agent, "nginx_http_requests_total", before["id"]).values()
        time.sleep(0.1)
    os.kill(old, signal.SIGQUIT)

    def settled():
        """One instance, and the new master stands for it."""
        return [i["pid"] for i in agent.instances() if i["config"] == str(nginx.conf)] == [new]

    wait_for(settled, lambda: agent.instances())
    assert instance_by_pid(agent, new)["id"] == before["id"]
    for _ in range(20):
        nginx.get("/")
        seen += series(agent, "nginx_http_requests_total", before["id"]).values()
    written = count_lines(nginx.access_log) - lines
    assert written >= 341
    wait_for(lambda: responses(agent, before["id"])["2xx"] - counted == written,
             lambda: f"{responses(agent, before['id'])}, {written} lines beyond {counted}")
    agent.wait_event("nginx.metrics.sampled", lambda e: e["data"]["id"] == before["id"] and e["data"]["status_ok"])
    seen += series(agent, "nginx_http_requests_total", before["id"]).values()
    assert seen == sorted(seen), "a counter went back"
    # Each sample asks once or twice, of either master. The 300 of before do not come again.
    looks = 2 * (len(agent.events("nginx.metrics.sampled")) - samples) + 10
    assert seen[-1] - requests <= written - 300 + looks, f"{seen[-1] - requests} more, of {written - 300} and {looks} looks"


def count_lines(path):
    with open(path, "rb") as f:
        return sum(1 for _ in f)


def test_without_nginx_the_agent_waits_and_then_finds_it(folder, agents):
    agent = agents()
    server = support.Nginx(folder / "late")
    assert instance_by_conf(agent, server) is None
    server.start()
    try:
        wait_for(lambda: instance_by_conf(agent, server), "late instance")
    finally:
        server.stop()
    wait_for(lambda: instance_by_conf(agent, server) is None, "it is gone again")


def test_two_instances_are_told_apart(folder, nginx, agents):
    other = support.Nginx(folder / "other")
    other.start()
    try:
        agent = agents()
        a = wait_for(lambda: instance_by_conf(agent, nginx), "first")
        b = wait_for(lambda: instance_by_conf(agent, other), "second")
        assert a["id"] != b["id"]
        assert {a["pid"], b["pid"]} == {nginx.pid(), other.pid()}
        # A log is followed from its end on: what is written before that does not count.
        agent.wait_event("nginx.metrics.sampled", lambda e: e["data"]["id"] == b["id"])
        other.get("/missing")
        agent.wait_event(
            "nginx.metrics.sampled", lambda e: e["data"]["id"] == b["id"] and e["data"]["responses"]["4xx"] == 1
        )
    finally:
        other.stop()


def test_a_reload_of_nginx_with_a_broken_config_keeps_the_instance(nginx, agents):
    agent = agents()
    before = wait_for(lambda: instance_by_pid(agent, nginx.pid()), "instance")
    nginx.conf.write_text(nginx.config() + "\nserver { unclosed \n")
    nginx.signal(signal.SIGHUP)
    nginx.get("/")
    assert instance_by_pid(agent, nginx.pid())["id"] == before["id"]
