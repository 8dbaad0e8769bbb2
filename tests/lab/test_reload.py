"""A reload takes every key, or names each that waits for a restart."""

import http.client
import json
import os
import pathlib
import signal
import socket

from lab import raw, until


def generation(agent):
    return agent.status()["config"]["generation"]


def reload(agent, port=None):
    """SIGHUP with the settings as they are now."""
    before = generation(agent)
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    agent.port = port or agent.port
    until(lambda: generation(agent) == before + 1, lambda: f"reloaded\n{agent.text()[-2000:]}")


def listens(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


def post(unix, path):
    answer = raw(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", unix=unix, timeout=10)
    return int(answer.split(b" ")[1]), json.loads(answer.split(b"\r\n\r\n", 1)[1])


def test_the_status_page_moves(lab):
    agent = lab.agent()
    agent.settings["outrider"]["status"] = {"port": 9281}
    reload(agent, 9281)
    until(lambda: not listens(9180), "the old address is given up", 5)
    agent.settings["outrider"]["status"] = {"port": 9281, "host": "::1"}
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: listens(9281, "::1") and not listens(9281), "it is on the other loopback")
    agent.settings["outrider"]["status"] = {"port": 9281, "host": "localhost"}
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.http("/metrics")[0] == 200, "and back")
    agent.settings["outrider"]["status"] = {"port": -1}
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: not listens(9281), "and off")
    assert agent.cli("status")[0] in (0, 1)


def test_a_taken_port_is_a_reason_and_tried_again(lab):
    agent = lab.agent()
    blocker = socket.create_server(("127.0.0.1", 9281))
    agent.settings["outrider"]["status"] = {"port": 9281}
    before = generation(agent)
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: generation(agent) == before + 1, "reloaded")  # still at the old port
    reasons = agent.status()["reasons"]
    assert any("9281" in r and "still at their old address" in r for r in reasons), reasons
    blocker.close()
    agent.port = 9281
    until(lambda: agent.http("/metrics")[0] == 200, "tried again", 10)
    until(lambda: not listens(9180), "and the old address is given up", 5)
    assert not any("9281" in r for r in agent.status()["reasons"])


def test_the_admin_socket_moves_and_the_answer_comes_by_the_old_one(lab):
    agent = lab.agent()
    old, new = agent.socket, agent.dir / "t.sock"
    agent.settings["outrider"]["admin"] = {"socket": str(new)}
    agent.write()
    status, body = post(old, "/api/v1/reload")
    assert status == 200 and body["config"]["generation"] == 1
    until(lambda: not old.exists(), "the old one goes", 5)
    assert new.stat().st_mode & 0o777 == 0o600
    agent.socket = new
    assert agent.cli("status")[0] in (0, 1)


def test_an_admin_socket_that_cannot_be_made_refuses_the_whole(lab):
    agent = lab.agent()
    agent.settings["outrider"]["admin"] = {"socket": "/proc/nothing/t.sock"}
    agent.settings["log"]["level"] = "error"
    agent.write()
    status, body = post(agent.socket, "/api/v1/reload")
    assert status >= 400 and "outrider.admin.socket" in body["error"]["message"]
    assert generation(agent) == 0 and agent.cli("status")[0] in (0, 1)
    assert any("refused" in r for r in agent.status()["reasons"])


def test_the_log_moves_and_follows_a_rename(lab):
    one, two = lab.dir / "one.log", lab.dir / "two.log"
    agent = lab.agent(extra={"log": {"level": "info", "path": str(one)}})
    agent.settings["log"]["path"] = str(two)
    reload(agent)
    until(lambda: 'msg="config reloaded"' in two.read_text(), "the new file")
    assert 'msg="config reloaded"' not in one.read_text()
    for signum in (signal.SIGHUP, signal.SIGUSR1):
        os.rename(two, lab.dir / "two.log.1")
        agent.process.send_signal(signum)
        until(two.exists, f"a new file by {signum.name}")
    agent.settings["log"]["path"] = "/proc/nothing/x.log"
    agent.write()
    status, body = post(agent.socket, "/api/v1/reload")
    assert status >= 400 and "log.path" in body["error"]["message"]
    assert "config reload failed" in until(lambda: "config reload failed" in two.read_text() and two.read_text(), "said")


def test_keys_that_wait_for_a_restart_are_named_everywhere(lab):
    agent = lab.agent()
    agent.settings["outrider"]["workers"] = 4
    agent.settings["outrider"]["workers_max"] = 9
    agent.write()
    status, body = post(agent.socket, "/api/v1/reload")
    assert (status, body["config"]["waits_for_restart"]) == (200, "outrider.workers, outrider.workers_max")
    says = "takes effect after a restart: outrider.workers, outrider.workers_max"
    assert says in agent.status()["reasons"]
    until(lambda: says in agent.text(), "the log says so, too")
    code, said = agent.cli("status")
    assert code == 1 and says in said
    del agent.settings["outrider"]["workers"], agent.settings["outrider"]["workers_max"]
    reload(agent)
    assert says not in agent.status()["reasons"] and agent.status()["config"]["waits_for_restart"] == ""


def test_intervals_are_taken_and_have_floors(lab):
    lab.nginx("server { listen 127.0.0.1:8101; location = /status { stub_status; } }")
    agent = lab.agent(interval="30s")
    until(lambda: agent.events("nginx.metrics.sampled"), "a sample")
    agent.settings["outrider"]["metrics"]["interval"] = "0s"
    agent.settings["watchers"] = {"instance_watcher": {"monitoring_frequency": "1ns"},
                                  "instance_health_watcher": {"monitoring_frequency": "0s"}}
    reload(agent)
    agent.samples(3)
    for key in ("outrider.metrics.interval", "watchers.instance_watcher.monitoring_frequency",
                "watchers.instance_health_watcher.monitoring_frequency"):
        until(lambda k=key: f"{k}: " in agent.text() and "using 200ms" in agent.text(), f"{key} is named")
    times = [e["time"] for e in agent.events("nginx.metrics.sampled")]
    seen = len(times)
    cpu = agent.cpu()
    until(lambda: len(agent.events("nginx.metrics.sampled")) >= seen + 10, "ten samples", step=0.2)
    assert agent.cpu() - cpu < 1.0, "ten samples of an interval of nothing"


def test_a_client_of_the_old_page_is_not_left_hanging(lab):
    agent = lab.agent()
    stream = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
    stream.request("GET", "/api/v1/events/stream")
    answer = stream.getresponse()
    agent.settings["outrider"]["status"] = {"port": 9281}
    reload(agent, 9281)
    answer.read()  # ends
    assert pathlib.Path(f"/proc/{agent.process.pid}").exists()
