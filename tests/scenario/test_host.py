"""The host's metrics as a user sees them: /metrics beside /proc, the topic, the switch."""

import os
import pathlib
import re
import signal

import pytest
from support import Agent, wait_for


@pytest.fixture
def agent(folder):
    agent = Agent(folder / "agent")
    agent.start()
    yield agent
    agent.cleanup()


def series(agent):
    return {m[1]: float(m[2]) for m in re.finditer(r"^(system_\S+?(?:\{.*\})?) (\S+)$", agent.http("/metrics"), re.M)}


def test_metrics_of_the_host_are_those_of_proc(agent):
    container = agent.wait_event("host.metrics", lambda e: e["data"]["cpu"]["shares"])["data"]["container"]
    now = wait_for(lambda: series(agent), "series are there")
    assert now["system_cpu_logical_count"] == os.cpu_count()
    root = os.statvfs("/")
    free = [v for k, v in now.items() if "filesystem_usage" in k and 'mountpoint="/"' in k and 'state="free"' in k]
    assert not free or free == [pytest.approx(root.f_bavail * root.f_frsize, rel=0.2)]
    assert now['system_network_connections{protocol="tcp",state="LISTEN"}'] >= 1
    if container:  # a control group's, not the machine's
        assert 'system_cpu_utilization_ratio{state="user"}' in now and "system_memory_limit_bytes" not in now
        return
    total = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) * 1024
    assert now["system_memory_limit_bytes"] == total
    shares = [v for k, v in now.items() if k.startswith("system_cpu_utilization") and 'cpu="cpu0"' in k]
    assert len(shares) == 8 and sum(shares) == pytest.approx(1)


def test_plugins_and_people_hear_the_samples(agent):
    data = agent.wait_event("host.metrics", lambda e: e["data"]["cpu"]["shares"])["data"]
    assert data["cpu"]["count"] == os.cpu_count()
    assert data["memory"]["total"] > data["memory"]["used"] > 0
    assert [d for d in data["interfaces"] if d["name"] == "lo"]


def test_it_can_be_switched_off_while_it_runs(agent):
    wait_for(lambda: series(agent), "series are there")
    agent.settings["outrider"]["host"] = {"enabled": False}
    agent.write_config()
    agent.signal(signal.SIGHUP)
    wait_for(lambda: not series(agent), "no series is left")
    agent.settings["outrider"]["host"] = {"enabled": True}
    agent.write_config()
    agent.signal(signal.SIGHUP)
    wait_for(lambda: series(agent), "series are back")
