"""Start, reload, end, kill: the agent as a process."""

import os
import signal
import stat
import subprocess
import time

import pytest

import support
from support import cli, wait_for


def test_sigterm_ends_cleanly_in_under_a_second(nginx, agents):
    agent = agents()
    code, seconds = agent.stop()
    assert code == 0
    assert seconds < 1.0 + (2.0 if "asan" in support.BINARY or "dev" in support.BINARY else 0)
    assert not agent.socket.exists()
    assert "msg=stopped" in agent.text()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT])
def test_other_end_signals_end_it_too(agents, signum):
    agent = agents()
    agent.signal(signum)
    assert agent.process.wait(timeout=support.PATIENCE) == 0


def test_sigterm_while_a_guest_loops_in_process(folder, nginx, agents):
    guest = support.write_guest(folder, "looper", support.extism_guest(process="(loop $l (br $l)) (i32.const 0)"))
    agent = agents(plugins=[support.entry(guest, limits={"call": "30s"})])
    wait_for(lambda: agent.plugin("looper")["state"] == "running", "running")
    agent.wait_event("nginx.metrics.sampled")
    time.sleep(0.3)
    code, seconds = agent.stop()
    assert code == 0
    assert seconds < 3.0


def test_sigterm_while_a_guest_loops_in_init(folder, agents):
    guest = support.write_guest(folder, "slow", support.extism_guest(init="(loop $l (br $l)) (i32.const 0)"))
    agent = agents(start=False, plugins=[support.entry(guest, limits={"init": "30s"})])
    agent.start(wait=False)
    wait_for(lambda: agent.socket.exists() and agent.plugin("slow"), "socket is there")
    code, seconds = agent.stop()
    assert code == 0
    assert seconds < 3.0


def test_after_kill_9_the_next_agent_starts_on_the_same_socket(nginx, agents):
    agent = agents()
    agent.process.kill()
    agent.process.wait()
    assert agent.socket.exists()
    agent.log_path.unlink()
    agent.start()
    wait_for(lambda: any(i["pid"] == nginx.pid() for i in agent.instances()), "the instance is found again")


def test_a_second_agent_on_the_same_socket_is_refused_and_the_first_lives(agents):
    first = agents()
    second = agents(start=False)
    second.settings["outrider"]["admin"]["socket"] = str(first.socket)
    second.write_config()
    second.start(wait=False)
    assert second.process.wait(timeout=support.PATIENCE) == 1
    assert str(first.socket) in second.text()
    assert first.api("status")["pid"] == first.process.pid


def test_the_admin_socket_is_private(agents):
    agent = agents()
    assert stat.S_IMODE(os.stat(agent.socket).st_mode) == 0o600


def test_a_busy_status_port_costs_the_page_only(agents):
    first = agents()
    second = agents(start=False)
    second.settings["outrider"]["status"]["port"] = first.port
    second.write_config()
    second.start()
    assert str(first.port) in second.text()
    assert second.api("status")["pid"] == second.process.pid


def test_sighup_takes_a_new_log_level(agents):
    agent = agents()
    agent.settings["log"]["level"] = "warn"
    agent.write_config()
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.api("status")["config"]["generation"] == 1, "reloaded")


def test_a_broken_config_at_reload_keeps_the_old_one(nginx, agents):
    agent = agents()
    good = agent.conf.read_text()
    agent.write_config(good + "\nlog.levle: debug\n")
    agent.signal(signal.SIGHUP)
    wait_for(lambda: "config reload failed, keeping old config" in agent.text(), "reload is refused")
    line = next(t for t in agent.text().splitlines() if "config reload failed" in t)
    assert f"{agent.conf}:" in line and "log.levle" in line
    assert agent.api("status")["config"]["generation"] == 0
    agent.write_config("log: [unclosed\n")
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.text().count("config reload failed, keeping old config") == 2, "second refusal")
    assert agent.instances()
    agent.write_config(good)
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.api("status")["config"]["generation"] == 1, "a good one is taken")


@pytest.mark.parametrize(
    "text,parts",
    [
        ("lgo:\n  level: info\n", [":1:1", "lgo", "log"]),
        ("log:\n  levle: info\n", [":2:3", "levle", "level"]),
        ("outrider:\n  workers: many\n", [":2:", "workers", "many"]),
        ("plugins:\n  load:\n    - name: x\n", [":3:", "source"]),
        ("plugins:\n  load:\n    - {name: X, source: a.wasm}\n", [":3:", "name"]),
        ("plugins:\n  load:\n    - {name: x, source: a.wasm, engin: wasmtime}\n", ["engin", "engine"]),
        ("plugins:\n  load:\n    - {name: x, source: a.wasm, grants: {publish: ['a..b']}}\n", ["publish"]),
        ("a: b: c\n", [":1:"]),
    ],
)
def test_a_wrong_config_says_where_and_what(folder, text, parts):
    path = folder / "bad.yaml"
    path.write_text(text)
    code, _, err = cli("run", "--config", path)
    assert code == 1
    assert str(path) in err
    for part in parts:
        assert part in err, err


def test_flag_beats_environment_beats_file(folder, agents):
    agent = agents(env={"NGINX_AGENT_LOG_LEVEL": "warn"}, flags=["--log-level=debug"])
    assert "level=DEBUG" in agent.text() or "level=INFO" in agent.text()


def test_without_a_config_file_it_says_where_it_looked(folder):
    done = subprocess.run([os.path.abspath(support.BINARY), "run"], cwd=folder, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert b"nginx-agent.conf" in done.stderr


def test_there_is_no_fork_in_steady_state(nginx, agents):
    agent = agents()
    wait_for(lambda: agent.events("nginx.metrics.sampled"), "working")
    time.sleep(0.5)
    out = agent.home / "strace.txt"
    tracer = subprocess.Popen(
        ["strace", "-f", "-e", "trace=process", "-p", str(agent.process.pid), "-o", str(out)], stderr=subprocess.PIPE
    )
    try:
        samples = len(agent.events("nginx.metrics.sampled"))
        wait_for(lambda: len(agent.events("nginx.metrics.sampled")) >= samples + 10, "ten more samples")
    finally:
        tracer.terminate()
        tracer.wait(timeout=10)
    lines = out.read_text().splitlines()
    forks = [t for t in lines if "fork(" in t or "execve(" in t or ("clone" in t and "CLONE_THREAD" not in t)]
    assert forks == []


def test_metrics_pass_promtool(nginx, agents):
    agent = agents()
    wait_for(lambda: agent.events("nginx.metrics.sampled"), "a sample")
    text = agent.http("/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=30)
    errors = [line for line in (done.stdout + done.stderr).decode().splitlines() if "error" in line.lower()]
    assert done.returncode in (0, 3), (done.stdout, done.stderr)  # 3: naming advice only
    assert errors == []


def test_plugins_that_loop_do_not_hold_up_another(folder, nginx, agents):
    """More of them than there are worker threads, each in a call of 15 seconds."""
    loop = support.extism_guest(process="(loop $l (br $l)) (i32.const 0)", topics=("nginx.metrics.sampled",))
    loopers = [support.write_guest(folder, f"looper{k}", loop) for k in range(3)]
    fine = support.write_guest(folder, "fine", support.extism_guest(topics=("nginx.metrics.sampled",)))
    agent = agents(plugins=[support.entry(g, limits={"call": "15s"}) for g in loopers] + [support.entry(fine)])
    agent.wait_plugin("fine", "running")
    begin = agent.plugin("fine")["calls"]
    seen = len(agent.events("nginx.metrics.sampled"))
    wait_for(lambda: len(agent.events("nginx.metrics.sampled")) >= seen + 10, "ten samples")
    assert not any(agent.plugin(g.stem)["timeouts"] for g in loopers), "they are all still in their call"
    wait_for(lambda: agent.plugin("fine")["calls"] >= begin + 10, lambda: agent.plugin("fine"), seconds=5)
