"""What stays behind: calls, instances, hot reloads, starts from the cache.

Counts are fixed: 100,000 calls of every conformance guest, 1,000 instances, 10,000 hot reloads of a
plugin in a running agent (the first tenth of them is warm-up), 10 plugins from the cache.
"""

import http.client
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import time

import guests
from harness import Row, Unavailable

CALLS = 100_000
INSTANCES = 1_000
RELOADS = 10_000

AGENT_CONF = """\
outrider:
  admin: {{ socket: "{dir}/admin.sock" }}
  status: {{ port: -1 }}
log: {{ level: error }}
plugins:
  cache: "{dir}/cache"
  load: [{{ name: reloaded, source: "{dir}/plugin.wasm" }}]
"""


class Api(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)

    def ask(self, method, path):
        self.request(method, path)
        answer = self.getresponse()
        body = json.loads(answer.read() or b"null")
        if answer.status >= 300:
            raise Unavailable(f"{method} {path}: {answer.status} {body}")
        return body


def rss_kb(pid):
    return int(re.search(r"VmRSS:\s+([0-9]+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def plugin(api):
    return next(p for p in api.ask("GET", "/api/v1/plugins") if p["name"] == "reloaded")


def reload_many(bench, source, count, out):
    """Hot reloads one after the other, the file's content changing each time; kB of RSS along the way."""
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as name:
        folder = pathlib.Path(name)
        (folder / "agent.yaml").write_text(AGENT_CONF.format(dir=folder))
        versions = [source.read_bytes(), source.read_bytes() + b"\0\x06\x04note2"]  # a custom section
        (folder / "plugin.wasm").write_bytes(versions[0])
        log = open(folder / "log", "wb")
        agent = subprocess.Popen([bench.binary("outrider"), "run", "--config", folder / "agent.yaml"],
                                 stdout=log, stderr=log)
        try:
            api = wait_api(folder / "admin.sock", agent)
            seen = wait_state(api, None)
            begun = time.monotonic()
            for i in range(count):
                (folder / "new.wasm").write_bytes(versions[(i + 1) % 2])
                (folder / "new.wasm").rename(folder / "plugin.wasm")
                api.ask("POST", "/api/v1/plugins/reloaded/reload")
                seen = wait_state(api, seen)
                if (i + 1) % (count // 10) == 0:
                    out.append(rss_kb(agent.pid))
            return (time.monotonic() - begun) / count * 1000
        finally:
            agent.terminate()
            agent.wait(timeout=20)
            log.close()


def wait_api(path, agent):
    until = time.monotonic() + 20
    while time.monotonic() < until and agent.poll() is None:
        try:
            api = Api(path)
            api.ask("GET", "/api/v1/status")
            return api
        except (OSError, Unavailable):
            time.sleep(0.02)
    raise Unavailable("the agent does not answer")


def wait_state(api, before):
    """Until it runs again with another digest than `before`; returns that."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        seen = plugin(api)
        if seen["state"] == "running" and seen["sha256"] != before:
            return seen["sha256"]
        if seen["state"] == "disabled":
            raise Unavailable(f"the plugin is disabled: {seen['reason']}")
    raise Unavailable("the plugin was not reloaded within 20 s")


def run(bench):
    folder = guests.conformance(bench)
    program = bench.binary("bench_soak")
    for file in sorted(f for f in folder.glob("*-*.wasm") if not f.name.startswith(("services-", "third-"))):
        out = bench.run([program, "calls", file, CALLS], timeout=1200)
        grown = re.search(r"guest (\d+) kB, grew (-?\d+) kB; process \d+ kB, grew (-?\d+) kB", out)
        heap_breathes = int(grown.group(1)) > 4096  # a garbage collector's
        yield Row(name=f"guest growth, {file.stem}", ours=float(grown.group(2)), unit="kB",
                  at_most=2048 if heap_breathes else 0, note=f"{CALLS} calls: {out.strip()}")
        yield Row(name=f"process growth, {file.stem}", ours=float(grown.group(3)), unit="kB",
                  at_most=2048 if heap_breathes else 256)
    out = bench.run([program, "instances", folder / "c-extism.wasm", INSTANCES])
    yield Row(name=f"{INSTANCES} instances", ours=float(re.search(r"took ([0-9.]+)", out).group(1)), unit="MB",
              at_most=40, note=out.strip())
    files = sorted(f for f in folder.glob("*-*.wasm") if not re.match("go-|js-|services-|third-", f.name))[:10]
    with tempfile.TemporaryDirectory(prefix="outrider-bench-") as cache:
        out = bench.run([program, "cache", pathlib.Path(cache) / "code", *files])
    yield Row(name=f"{len(files)} plugins from the cache", ours=float(out.split()[0]), unit="ms", at_most=10,
              note="read, looked up, started, asked for info: " + ", ".join(f.stem for f in files))
    along = []
    ms = reload_many(bench, folder / "c-extism.wasm", RELOADS, along)
    yield Row(name=f"RSS drift, {RELOADS} hot reloads", ours=(along[-1] - along[0]) / 1024, unit="MB", at_most=2,
              note=f"after the first tenth; kB each tenth: {along}; {ms:.1f} ms each")
