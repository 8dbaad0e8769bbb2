"""The agent and real NGINX instances: found, restarted, upgraded, missing, two of them."""

import os
import signal

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


def test_traffic_shows_in_the_metrics(nginx, agents):
    agent = agents()
    wait_for(lambda: agent.events("nginx.metrics.sampled"), "first sample")
    for path, times in (("/", 5), ("/missing", 3), ("/broken", 2)):
        for _ in range(times):
            nginx.get(path)

    def counted():
        samples = [e["data"] for e in agent.events("nginx.metrics.sampled")]
        total = {k: sum(s["responses"][k] for s in samples) for k in ("2xx", "4xx", "5xx")}
        return total == {"2xx": 5, "4xx": 3, "5xx": 2}

    wait_for(counted, lambda: [e["data"]["responses"] for e in agent.events("nginx.metrics.sampled")][-5:])
    metrics = agent.http("/metrics")
    assert "nginx_http_requests_total{" in metrics
    assert 'nginx_connections_outcome="ACTIVE"' in metrics


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


def test_an_upgrade_in_place_keeps_one_instance(nginx, agents):
    agent = agents()
    old = nginx.pid()
    before = wait_for(lambda: instance_by_pid(agent, old), "old master")
    nginx.signal(signal.SIGUSR2)
    wait_for(lambda: nginx.pid() not in (None, old), "new master wrote its pid")
    new = nginx.pid()
    wait_for(lambda: nginx.answers(), "answers during the upgrade")
    os.kill(old, signal.SIGQUIT)

    def settled():
        """One instance, and the new master stands for it."""
        return [i["pid"] for i in agent.instances() if i["config"] == str(nginx.conf)] == [new]

    wait_for(settled, lambda: agent.instances())
    assert instance_by_pid(agent, new)["id"] == before["id"]


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
