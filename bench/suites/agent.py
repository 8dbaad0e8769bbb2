"""The agent beside a private NGINX, as a user has it: start, memory, idle CPU, forks, size.

Everything is at its default but the places of files and sockets, so the metrics interval and the
watchers are the shipped ones. The plugins' compiled code is in the cache: an unmeasured run with
the same configuration put it there.
"""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

from harness import Row, Unavailable

STARTS = 7  # the median counts
IDLE_S = 30
TRACE_S = 10
SETTLE_S = 6  # the survey looks often while a machine may still be starting

NGINX_CONF = """\
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    server {{
        listen 127.0.0.1:{port};
        location = /status {{ stub_status; access_log off; }}
    }}
}}
"""

AGENT_CONF = """\
allowed_directories: ["{dir}"]
outrider:
  admin: {{ socket: "{dir}/admin.sock" }}
  status: {{ host: 127.0.0.1, port: {port} }}
plugins:
  directory: "{plugins}"
  cache: "{dir}/cache"
  load: [{load}]
"""

EXAMPLES = {
    "rate-watch": "config: { threshold: 100 }, grants: { publish: [alert.*] }",
    "status-digest": "config: { window: 60 }, grants: { publish: [digest.*] }",
    "health-notes": "grants: { publish: [note.*] }",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def end(child):
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_for(check, child, what):
    """Polls check() every millisecond; returns the monotonic time at which it was true."""
    until = time.monotonic() + 10
    while not check():
        if child.poll() is not None or time.monotonic() > until:
            raise Unavailable(f"{what}: not within 10 s")
        time.sleep(0.001)
    return time.monotonic()


@contextlib.contextmanager
def nginx(folder):
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(program, os.X_OK):
        raise Unavailable("no NGINX")
    conf = folder / "nginx.conf"
    conf.write_text(NGINX_CONF.format(dir=folder, port=free_port()))
    child = subprocess.Popen([program, "-p", folder, "-c", conf, "-e", folder / "error.log"],
                             stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (folder / "nginx.pid").exists(), child, "NGINX starts")
        yield child
    finally:
        end(child)


class Agent:
    """One run of the agent; `with` ends it."""

    def __init__(self, program, folder, port):
        self.port = port
        self.log = folder / "agent.log"
        with open(self.log, "wb") as log:
            self.begun = time.monotonic()
            self.child = subprocess.Popen([program, "run", "--config", folder / "agent.yaml"],
                                          stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.child)

    def has_metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/metrics")
            return b"\nnginx_" in connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()

    def after_ms(self):
        """What the agent says of itself, once it has said so."""
        found = re.search(r"msg=ready.*? after_ms=([0-9]+)", self.log.read_text())
        return float(found.group(1)) if found else None

    def ready(self):
        """Milliseconds until it says that all is loaded, as it counts them, and until it has said
        so and a series of NGINX can be read over HTTP, counted from the fork."""
        wait_for(lambda: self.after_ms() is not None, self.child, "the agent is ready")
        seen = wait_for(self.has_metrics, self.child, "/metrics shows NGINX")
        return self.after_ms(), (seen - self.begun) * 1000

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.child.pid}/{name}").read_text()

    def rss_mb(self):
        return int(re.search(r"VmRSS:\s+([0-9]+) kB", self.proc("status")).group(1)) / 1024

    def cpu_s(self):
        """Time on a core of all threads, as the scheduler counts it: in nanoseconds, not in ticks."""
        tasks = pathlib.Path(f"/proc/{self.child.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def traced(agent, folder):
    """New processes and system calls a second over TRACE_S, by strace; threads are no processes."""
    if not shutil.which("strace"):
        raise Unavailable("no strace")
    out = folder / "trace"
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", out, "-p", str(agent.child.pid)],
                              stderr=subprocess.DEVNULL)
    time.sleep(TRACE_S)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    lines = out.read_text(errors="replace").splitlines()
    births = [line for line in lines if re.search(r" (v?fork|clone3?|execve(at)?)\(", line)]
    calls = [line for line in lines if re.match(r"[0-9]+ +[a-z0-9_]+\(", line)]
    return len([b for b in births if "CLONE_THREAD" not in b]), len(calls) / TRACE_S


def configure(bench, folder, names):
    plugins = bench.build / "plugins"
    for name in names:
        if not (plugins / f"{name}.wasm").is_file():
            raise Unavailable(f"{name}.wasm is not in {plugins}")
    load = ", ".join(f"{{ name: {n}, source: {n}.wasm, {EXAMPLES[n]} }}" for n in names)
    port = free_port()
    (folder / "agent.yaml").write_text(
        AGENT_CONF.format(dir=folder, port=port, plugins=plugins, load=load))
    return port


def measure(bench, folder, names, label, rss_at_most):
    program = bench.binary("outrider")
    port = configure(bench, folder, names)
    with Agent(program, folder, port) as agent:
        agent.ready()
    said, seen = [], []
    for _ in range(STARTS):
        with Agent(program, folder, port) as agent:
            told, shown = agent.ready()
            said.append(told)
            seen.append(shown)
    yield Row(name=f"ready line, {label}", ours=statistics.median(said), unit="ms", at_most=100,
              note=f"after_ms of its log line; {min(said):.0f} to {max(said):.0f} in {STARTS} starts")
    yield Row(name=f"fork to ready, {label}", ours=statistics.median(seen), unit="ms", at_most=100,
              note=f"the ready line is there and /metrics has nginx_*; {min(seen):.0f} to {max(seen):.0f}")
    with Agent(program, folder, port) as agent:
        agent.ready()
        time.sleep(SETTLE_S)
        used = agent.cpu_s()
        time.sleep(IDLE_S)
        used = agent.cpu_s() - used
        yield Row(name=f"RSS, {label}", ours=agent.rss_mb(), unit="MB", at_most=rss_at_most,
                  note="VmRSS, shared libraries and mapped files included")
        yield Row(name=f"idle CPU, {label}", ours=100 * used / IDLE_S, unit="%", at_most=0.1,
                  note=f"all threads over {IDLE_S} s, by schedstat")
        births, calls = traced(agent, folder)
        yield Row(name=f"new processes, {label}", ours=births, at_most=0,
                  note=f"fork, vfork, clone and exec in {TRACE_S} s; {calls:.1f} system calls a second")


def run(bench):
    program = bench.binary("outrider")
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as name:
        folder = pathlib.Path(name)
        with nginx(folder):
            yield from measure(bench, folder, [], "no plugin", 10)
            yield from measure(bench, folder, list(EXAMPLES), "3 plugins", 20)
    yield Row(name="binary", ours=program.stat().st_size / 1e6, unit="MB")
    yield Row(name="stripped", ours=stripped_mb(program), unit="MB")
    libraries = bench.run(["ldd", program]).count("=>")
    yield Row(name="shared libraries", ours=libraries, note="lines of ldd with a file")


def stripped_mb(program):
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as name:
        out = pathlib.Path(name) / "stripped"
        subprocess.run(["strip", "-o", out, program], check=True)
        return out.stat().st_size / 1e6
