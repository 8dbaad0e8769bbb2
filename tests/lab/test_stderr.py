"""Outputs of the log that nobody takes: the agent works on, counts what is lost, and ends when told."""

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time

from lab import until

F_SETPIPE_SZ = 1031


def start(agent, stderr):
    """The agent with this standard error. It is not waited for: nobody reads what it says."""
    real = agent.log
    agent.start(wait=False)
    agent.process.kill()
    agent.process.wait()
    agent.log = real
    args = agent.process.args
    agent.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
    os.close(stderr)
    until(lambda: agent.http("/metrics")[0] == 200, "it serves")


# Each reload warns of each of these: 40 KB of lines for a ring of 256 KB.
TALKATIVE = {"labels": {f"label-{i}": "not a good value" for i in range(200)}}


def hang_up(agent, n=3):
    for _ in range(n):
        before = agent.status()["config"]["generation"]
        agent.process.send_signal(signal.SIGHUP)
        until(lambda b=before: agent.status()["config"]["generation"] > b, "reloaded")


def lost(agent):
    return agent.metrics()["outrider_log_lost_lines_total"]


def says_so(agent, word):
    return any("log lines are lost" in r and word in r for r in agent.status()["reasons"])


def test_a_pipe_that_nobody_reads(lab):
    agent = lab.agent(start=False, extra=TALKATIVE)
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    start(agent, write)
    hang_up(agent, 2)
    until(lambda: says_so(agent, "standard error"), "status says so")
    assert agent.cli("status")[0] == 1
    hang_up(agent, 20)  # beyond what is kept for it
    assert lost(agent) > 0
    begin = time.monotonic()
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(20) == 0
    assert time.monotonic() - begin < 10
    os.close(read)


def test_a_pipe_that_is_read_again_gets_the_count_of_what_is_missing(lab):
    agent = lab.agent(start=False, extra=TALKATIVE)
    read, write = os.pipe()
    fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
    start(agent, write)
    hang_up(agent, 20)
    assert lost(agent) > 0
    missing = int(lost(agent))
    os.set_blocking(read, False)
    seen = b""

    def note():
        nonlocal seen
        seen += os.read(read, 65536)
        return b"log lines were lost" in seen

    until(note, "the note")
    lines = int(seen.split(b"log lines were lost")[1].split(b"lines=")[1].split()[0])
    assert lines >= missing
    until(lambda: not says_so(agent, "standard error"), "and it is over", 15)


def test_a_terminal_that_is_paused(lab):
    agent = lab.agent(start=False, extra=TALKATIVE)
    primary, secondary = pty.openpty()
    termios.tcflow(secondary, termios.TCOOFF)
    start(agent, os.dup(secondary))
    hang_up(agent)
    assert agent.http("/metrics")[0] == 200
    assert os.get_blocking(secondary), "the terminal is not ours to change"
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(5) == 0
    os.close(primary)
    os.close(secondary)


def test_a_full_disk(lab):
    lab.mount("-t tmpfs -o size=64k tmpfs", lab.dir / "small")
    fill = lab.dir / "small" / "fill"
    fill.write_bytes(b"x" * 57344)
    path = lab.dir / "small" / "agent.log"
    agent = lab.agent(extra={**TALKATIVE, "log": {"level": "info", "path": str(path)}})
    hang_up(agent, 20)
    assert lost(agent) > 0
    until(lambda: says_so(agent, "log file"), "status says so")
    until(lambda: 'msg="config reloaded"' in agent.text(), "standard error goes on")
    fill.unlink()
    agent.settings["labels"] = {}
    agent.write()
    hang_up(agent)
    until(lambda: "log lines were lost" in path.read_text(), "the note")
    for line in path.read_text().splitlines():
        assert line.startswith("time=") and line.count("time=") == 1, line
    until(lambda: not says_so(agent, "log file"), "and it is over", 15)


def test_a_closed_standard_error_is_nobody_elses_socket(lab):
    agent = lab.agent(start=False, extra=TALKATIVE)
    agent.wrap = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"]
    agent.start(wait=False)
    until(lambda: agent.http("/metrics")[0] == 200, "it serves")
    for fd in range(3):
        assert os.readlink(f"/proc/{agent.process.pid}/fd/{fd}") == "/dev/null"
    hang_up(agent)
    assert agent.cli("status")[0] in (0, 1)
