"""Start, reload, end, kill: the agent as a process."""

import json
import os
import pathlib
import signal
import stat
import subprocess
import time
import urllib.request

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
    assert seconds < 10.0


def test_sigterm_while_a_guest_loops_in_init(folder, agents):
    guest = support.write_guest(folder, "slow", support.extism_guest(init="(loop $l (br $l)) (i32.const 0)"))
    agent = agents(start=False, plugins=[support.entry(guest, limits={"init": "30s"})])
    agent.start(wait=False)
    wait_for(lambda: agent.socket.exists() and agent.plugin("slow"), "socket is there")
    code, seconds = agent.stop()
    assert code == 0
    assert seconds < 10.0


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


def test_a_busy_status_port_costs_the_page_until_it_is_free(agents):
    first = agents()
    second = agents(start=False)
    second.port = second.settings["outrider"]["status"]["port"] = first.port
    second.write_config()
    second.start()
    reasons = second.api("status")["reasons"]
    assert any("no status page" in r and str(first.port) in r for r in reasons), reasons
    assert cli("status", "--socket", second.socket)[0] == 1
    first.stop()
    wait_for(lambda: not any("status page" in r for r in second.api("status")["reasons"]), "the page is tried again")
    assert json.loads(second.http("/api/v1/status"))["pid"] == second.process.pid


def reload(agent):
    """SIGHUP with the settings as they are now, and waits until they are in force."""
    before = agent.api("status")["config"]["generation"]
    agent.write_config()
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.api("status")["config"]["generation"] == before + 1, "reloaded")


def test_sighup_takes_a_new_log_level(agents):
    agent = agents()
    reload(agent)
    wait_for(lambda: agent.text().count('msg="config reloaded"') == 1, "said at level debug")
    agent.settings["log"]["level"] = "error"
    reload(agent)
    quiet = agent.text()
    for _ in range(3):
        reload(agent)
        time.sleep(0.3)  # some surveys, which are logged at level debug
    assert agent.text() == quiet and quiet.count('msg="config reloaded"') == 1
    agent.settings["log"]["level"] = "info"
    reload(agent)
    wait_for(lambda: agent.text().count('msg="config reloaded"') == 2, "said at level info")
    assert "level=DEBUG" not in agent.text()[len(quiet):]


def test_a_broken_config_at_reload_keeps_the_old_one(nginx, agents):
    agent = agents()
    good, port = agent.conf.read_text(), support.free_port()
    # What is right in a file that is refused as a whole must not count either.
    worse = good.replace("level: debug", "level: error").replace(f"port: {agent.port}", f"port: {port}")
    assert worse.count("level: error") == 1 and worse.count(f"port: {port}") == 1
    broken = [(worse + "\nlog.levle: debug\n", "log.levle"), ("log: [unclosed\n", "agent.yaml:"),
              (worse.replace("load: []", "load: [{name: x}]"), "source")]
    for n, (text, part) in enumerate(broken, 1):
        agent.write_config(text)
        agent.signal(signal.SIGHUP)
        wait_for(lambda n=n: agent.text().count("config reload failed, keeping old config") == n, f"refusal {n}")
        line = [t for t in agent.text().splitlines() if "config reload failed" in t][-1]
        assert f"{agent.conf}:" in line and part in line
        status = agent.api("status")
        assert status["config"]["generation"] == 0
        assert any("refused" in r and part in r for r in status["reasons"]), status["reasons"]
        assert json.loads(agent.http("/api/v1/status"))["pid"] == agent.process.pid  # at the old port
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
    assert agent.instances()
    agent.write_config(good)
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.api("status")["config"]["generation"] == 1, "a good one is taken")
    wait_for(lambda: 'msg="config reloaded"' in agent.text(), "at the old level")
    assert not any("refused" in r for r in agent.api("status")["reasons"])


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
    """Each source names a port of its own; where the page is tells which one counted."""
    variable = "NGINX_AGENT_OUTRIDER_STATUS_PORT"
    for sources in (["file"], ["file", "env"], ["file", "flag"], ["env", "flag"], ["file", "env", "flag"]):
        ports = {source: support.free_port() for source in sources}
        agent = agents(
            start=False,
            env={variable: str(ports["env"])} if "env" in ports else {},
            flags=[f"--outrider-status-port={ports['flag']}"] if "flag" in ports else [],
        )
        agent.settings["outrider"]["status"] = {"port": ports["file"]} if "file" in ports else {}
        agent.write_config()
        agent.start()
        agent.port = ports[sources[-1]]
        assert json.loads(agent.http("/api/v1/status"))["pid"] == agent.process.pid, sources
        for other in sources[:-1]:
            with pytest.raises(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{ports[other]}/", timeout=2)
        code, out, _ = cli("config", "show", "--json", "--config", agent.conf, *agent.flags, env=agent.env)
        shown = next(k for k in json.loads(out)["keys"] if k["key"] == "outrider.status.port")
        assert (code, shown["value"], shown["origin"]) == (0, agent.port, sources[-1])
        agent.stop()


def test_config_show_tells_values_and_where_they_are_from(folder):
    path = folder / "a.yaml"
    path.write_text("log: {level: warn}\noutrider: {metrics: {interval: 0s}}\n")
    code, out, err = cli("config", "show", "--config", path, "--outrider-workers=3")
    assert code == 1 and "outrider.metrics.interval" in err and "using 200ms" in err
    rows = {line.split()[0]: line.split()[1:] for line in out.decode().splitlines()}
    assert rows["log.level"] == ["warn", "file", f"{path}:1:14"]
    assert rows["outrider.metrics.interval"][:2] == ["200ms", "file"]
    assert rows["outrider.workers"][:2] == ["3", "flag"]
    assert "outrider.status.port" not in rows
    assert "outrider.status.port" in cli("config", "show", "--all", "--config", path)[1].decode()
    path.write_text("lgo: {}\n")
    code, out, err = cli("config", "show", "--config", path)
    assert (code, out) == (2, b"") and f"{path}:1:1" in err


def test_without_a_config_file_it_says_where_it_looked(folder):
    done = subprocess.run([os.path.abspath(support.BINARY), "run"], cwd=folder, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert b"nginx-agent.conf" in done.stderr


def test_there_is_no_fork_in_steady_state(folder, nginx, agents):
    agent = agents(env={"ASAN_OPTIONS": "detect_leaks=0"})  # which fails in a child that is traced
    wait_for(lambda: agent.events("nginx.metrics.sampled"), "working")
    time.sleep(0.5)
    out = agent.home / "strace.txt"
    tracer = subprocess.Popen(
        ["strace", "-f", "-e", "trace=process", "-p", str(agent.process.pid), "-o", str(out)], stderr=subprocess.PIPE
    )

    def forks():
        """New processes, not threads; the second half of a call that strace shows in two has no flags."""
        lines = out.read_text().splitlines()
        return [t for t in lines if "fork(" in t or "execve(" in t
                or ("clone" in t and "flags=" in t and "CLONE_THREAD" not in t)]

    def traced():
        tasks = pathlib.Path(f"/proc/{agent.process.pid}/task").iterdir()
        return all(f"TracerPid:\t{tracer.pid}\n" in (t / "status").read_text() for t in tasks)

    try:
        wait_for(traced, "each thread is traced")
        samples = len(agent.events("nginx.metrics.sampled"))
        wait_for(lambda: len(agent.events("nginx.metrics.sampled")) >= samples + 10, "ten more samples")
        assert traced()
        assert forks() == []
        # And the tracer would have seen one: a plugin is compiled by a child.
        guest = support.write_guest(folder, "small", support.extism_guest())
        agent.settings["plugins"]["load"] = [support.entry(guest)]
        reload(agent)
        agent.wait_plugin("small", "running")
        wait_for(forks, "the compiler's start is seen")
    finally:
        tracer.terminate()
        tracer.wait(timeout=10)


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
