"""What a change of one file takes until its proven answer, and what clients notice of many changes under load.

The peer figure is NGINX Agent's own, 10.0 s for a valid and an invalid change alike: it watches the error logs of the new
configuration for all of its reload_monitoring_period.
"""

import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse

from harness import Row, Unavailable

PEER_MS = 10000
TIMES = 15
APPLIES, ROLLBACKS = 200, 50


class Admin(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def change(agent, server, text, **query):
    """The result of a change of the site, and its milliseconds as the asker sees them."""
    out, data = io.BytesIO(), text.encode()
    query["instance"] = str(server.conf)  # others may run on this machine
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.conf")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    client = Admin(agent.socket)
    begin = time.monotonic()
    client.request("POST", f"/api/v1/config/apply?{urllib.parse.urlencode(query)}", body=out.getvalue())
    answer = json.loads(client.getresponse().read())
    client.close()
    return answer, (time.monotonic() - begin) * 1000


def under_load(port, work):
    """(failed, sent) of wrk's requests while work() runs: over connections that stay open, as fast as they are answered."""
    if shutil.which("wrk") is None:
        raise Unavailable("there is no wrk")
    load = subprocess.Popen(["wrk", "-t1", "-c8", "-d3600s", "--timeout", "10s", f"http://127.0.0.1:{port}/"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        work()
    finally:
        load.send_signal(signal.SIGINT)
        said, _ = load.communicate(timeout=60)
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said)))
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    sent = re.search(r"(\d+) requests in", said)
    if sent is None:
        raise Unavailable(f"wrk said {said}")
    return failed + int(other[1] if other else 0), int(sent[1])


def site(server, text, more=""):
    return f"# {text}\nserver {{ listen 127.0.0.1:{server.port}; location / {{ return 200 \"x\"; }} {more} }}\n"


def plain_reloads(server, times):
    for _ in range(times):
        before = set(children(server.pid()))
        server.signal(signal.SIGHUP)
        while set(children(server.pid())) & before:
            time.sleep(0.005)


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def start(bench, folder):
    os.environ["OUTRIDER"] = str(bench.binary("outrider"))
    sys.path.insert(0, str(bench.top.parent / "tests" / "scenario"))
    import support
    if support.NGINX is None:
        raise Unavailable("there is no NGINX")
    support.BINARY = str(bench.binary("outrider"))
    (folder / "n").mkdir()
    return support, support.Nginx(folder / "n")


def run(bench):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="otr-"))
    agent = server = None
    try:
        support, server = start(bench, folder)
        conf = (f"user root;\npid {server.pid_file};\nerror_log {server.home}/error.log;\nworker_processes 2;\n"
                f"events {{ worker_connections 256; }}\nhttp {{ access_log off; "
                f"include {server.home}/a.conf; }}\n")
        server.config = lambda extra="": conf
        (server.home / "a.conf").write_text(site(server, "first"))
        server.start()
        agent = support.Agent(folder / "agent", config={"allowed_directories": [str(folder)]},
                              flags=["--lib-dir", str(folder / "agent" / "lib")])
        agent.settings["log"]["level"] = "info"
        agent.settings["outrider"]["metrics"]["interval"] = "5s"
        agent.write_config()
        agent.start()
        support.wait_for(agent.instances, "the instance")
        yield from times(agent, server)
        yield from load(agent, server)
    finally:
        for one in (agent, server):
            if one is not None:
                one.stop()
        shutil.rmtree(folder, ignore_errors=True)


def times(agent, server):
    valid, invalid = [], []
    for i in range(TIMES):
        answer, ms = change(agent, server, site(server, f"valid {i}"))
        assert answer.get("result") == "applied", answer
        valid.append(ms)
        answer, ms = change(agent, server, site(server, f"invalid {i}", "nonsense on;"))
        assert answer.get("result") == "invalid", answer
        invalid.append(ms)
    for name, figures, most in (("valid change to the proven answer", valid, 300), ("invalid change", invalid, 150)):
        yield Row(name=name, unit="ms", lower_is_better=True, ours=statistics.median(figures), peer=PEER_MS, at_most=most,
                  note=f"median of {TIMES}; {min(figures):.0f} to {max(figures):.0f}; NGINX Agent's figure was recorded")


def load(agent, server):
    def applies():
        for i in range(APPLIES):
            answer, _ = change(agent, server, site(server, f"load {i}"))
            assert answer.get("result") == "applied", answer

    def rollbacks():
        for i in range(ROLLBACKS):
            answer, _ = change(agent, server, site(server, f"back {i}"), probe=f"http://127.0.0.1:{server.port}/=404")
            assert answer.get("result") == "rolled-back", answer

    plain, plain_sent = under_load(server.port, lambda: plain_reloads(server, APPLIES))
    ours, sent = under_load(server.port, applies)
    back, back_sent = under_load(server.port, rollbacks)
    yield Row(name=f"failed requests in {APPLIES} changes", lower_is_better=True, ours=ours, peer=plain, at_most=plain,
              note=f"of {sent}; the peer is {APPLIES} plain `nginx -s reload`: {plain} of {plain_sent}")
    yield Row(name=f"failed requests in {ROLLBACKS} rollbacks", lower_is_better=True, ours=back, at_most=plain,
              note=f"of {back_sent}; each is two reloads")
