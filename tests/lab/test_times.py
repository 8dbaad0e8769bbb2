"""Times of requests out of real access logs: to the request, and what an apply makes of them."""

import contextlib
import http.server
import json
import math
import threading
import time
import urllib.parse

import pytest

from applies import agent_for, apply
from lab import get, until

COMBINED = ('$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
            '"$http_user_agent" $request_time $upstream_response_time')
JSON = ('escape=json {"request":"$request","status":"$status","time":"$request_time","connect":"$upstream_connect_time",'
        '"header":"$upstream_header_time","response":"$upstream_response_time"}')


class Backend(http.server.ThreadingHTTPServer):
    """Answers after the seconds of its query ("/?0.05")."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            time.sleep(float(urllib.parse.urlsplit(self.path).query or 0))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def backend():
    with Backend() as server:
        yield server
        server.shutdown()


def series_of(agent, name):
    """{(suffix, status range or None, le or None): value} of a histogram."""
    found = {}
    for suffix in ("_bucket", "_sum", "_count"):
        for labels, value in agent.series(name + suffix).items():
            pairs = dict(item.split("=", 1) for item in labels.strip("{}").replace('"', "").split(","))
            found[suffix, pairs.get("nginx_status_range"), pairs.get("le")] = value
    return found


def percentile(values, share):
    values = sorted(values)
    return values[max(0, math.ceil(share * len(values)) - 1)]


def close(got, truth):
    """Within one bucket: the histogram has eight from a value to its double."""
    return got == truth == 0 or truth / 2 ** (1 / 8) <= got <= truth * 2 ** (1 / 8)


def test_totals_and_percentiles_are_those_of_the_log(lab, backend):
    log = lab.dir / "a.log"
    server = lab.nginx(f"""log_format timed '{COMBINED}'; access_log {log} timed;
        server {{ listen 127.0.0.1:8101; location / {{ proxy_pass {backend.url}; }} location /own {{ return 404; }} }}""")
    agent = lab.agent(interval="200ms")
    agent.wait_instance(server.pid)
    for delay in (0, 0.004, 0.02, 0.05, 0.11):
        for _ in range(6):
            assert get(f"/?{delay}", headers={"User-Agent": '9.999 "x" 8.888'}) == 200
    for _ in range(4):
        assert get("/own") == 404
    name = "nginx_http_request_duration_seconds"
    until(lambda: series_of(agent, name).get(("_count", "4xx", None)) == 4
          and series_of(agent, name).get(("_count", "2xx", None)) == 30, lambda: series_of(agent, name))
    lines = [line.split('"') for line in log.read_text().splitlines()]
    times = {kind: [float(line[-1].split()[0]) for line in lines if line[2].split()[0] == code]
             for kind, code in (("2xx", "200"), ("4xx", "404"))}
    seen = series_of(agent, name)
    for kind, values in times.items():
        assert abs(seen["_sum", kind, None] - sum(values)) < 1e-6
        for (suffix, range_, le), value in seen.items():
            if suffix == "_bucket" and range_ == kind:
                bound = math.inf if le == "+Inf" else float(le)
                assert value == sum(v <= bound for v in values), (le, value, sorted(values))
    assert not any(key[1] in ("1xx", "3xx", "5xx") for key in seen), "what was not told is not shown as zeros"
    upstream = series_of(agent, "nginx_http_upstream_response_duration_seconds")
    assert upstream["_count", None, None] == 30
    assert abs(upstream["_sum", None, None] - sum(float(line[-1].split()[1]) for line in lines if line[-1].split()[1] != "-")) < 1e-6


def test_percentiles_of_a_sample_are_those_of_its_lines(lab, backend):
    log = lab.dir / "a.log"
    server = lab.nginx(f"""log_format timed {JSON.split(' ', 1)[0]} '{JSON.split(' ', 1)[1]}'; access_log {log} timed;
        server {{ listen 127.0.0.1:8101; location / {{ proxy_pass {backend.url}; }} }}""")
    agent = lab.agent(interval="60s", level="info")
    agent.wait_instance(server.pid)
    until(lambda: agent.events("nginx.metrics.sampled"), "the first sample")
    for delay in (0, 0.01, 0.03, 0.08):
        for _ in range(5):
            assert get(f'/"{delay}?{delay}') == 200
    agent.settings["outrider"]["metrics"] = {"interval": "300ms"}
    agent.write()
    assert agent.cli("reload")[0] == 0
    found = until(lambda: [e["data"] for e in agent.events("nginx.metrics.sampled") if "request_time" in e["data"]])
    truth = [float(json.loads(line)["time"]) for line in log.read_text().splitlines()]
    assert sum(s["request_time"]["count"] for s in found) == 20
    if len(found) == 1:
        told = found[0]["request_time"]
        assert told["max"] == max(truth) and abs(told["mean"] - sum(truth) / 20) < 1e-6
        for key, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            assert close(told[key], percentile(truth, share)), (key, told, sorted(truth))


def test_a_log_without_times_shows_none(lab):
    server = lab.nginx(f"access_log {lab.dir}/a.log; server {{ listen 127.0.0.1:8101; return 200 x; }}")
    agent = lab.agent()
    agent.wait_instance(server.pid)
    for _ in range(3):
        get()
    until(lambda: sum(agent.series("nginx_http_responses_total").values()) == 3)
    assert series_of(agent, "nginx_http_request_duration_seconds") == {}
    assert all("request_time" not in e["data"] for e in agent.events("nginx.metrics.sampled"))


@contextlib.contextmanager
def load():
    """Requests, one after the other, by two clients."""
    ended = threading.Event()

    def send():
        while not ended.is_set():
            with contextlib.suppress(OSError):
                get()

    threads = [threading.Thread(target=send, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    ended.set()
    for thread in threads:
        thread.join()


def proxied(lab, backend, log_format):
    (lab.dir / "n/sites").mkdir(parents=True)
    (lab.dir / "n/sites/a.conf").write_text(to(backend, 0.01))
    return lab.nginx(f"log_format timed '{log_format}'; access_log {lab.dir}/n/a.log timed; include {lab.dir}/n/sites/*.conf;")


def to(backend, delay):
    return f"server {{ listen 127.0.0.1:8101; location / {{ rewrite ^ /?{delay} break; proxy_pass {backend.url}; }} }}"


LIMITS = {"probation_ms": 20000, "max_slower_percent": 100, "min_requests": 30}


def test_a_change_that_makes_requests_slow_is_rolled_back(lab, backend):
    server = proxied(lab, backend, COMBINED)
    agent = agent_for(lab, interval="200ms")
    agent.wait_instance(server.pid)
    with load():
        until(lambda: agent.totals()["2xx"] > 60, "the usual is known")
        result = apply(agent, {"sites/a.conf": to(backend, 0.3)}, **LIMITS)
    assert result["result"] == "rolled-back" and result["step"] == "probation", result
    assert "the slowest tenth of" in result["text"] and "before" in result["text"]
    assert (server.dir / "sites/a.conf").read_text() == to(backend, 0.01)


def test_a_change_that_does_not_is_kept(lab, backend):
    server = proxied(lab, backend, COMBINED)
    agent = agent_for(lab, interval="200ms")
    agent.wait_instance(server.pid)
    with load():
        until(lambda: agent.totals()["2xx"] > 60, "the usual is known")
        result = apply(agent, {"sites/a.conf": to(backend, 0.012)}, probation_ms=3000, max_slower_percent=2000, min_requests=10)
    assert result["result"] == "applied" and result["remarks"] == [], result


def test_times_that_no_log_tells_are_not_judged_and_that_is_said(lab, backend):
    server = proxied(lab, backend, "$remote_addr [$time_local] \"$request\" $status")
    agent = agent_for(lab, interval="200ms")
    agent.wait_instance(server.pid)
    with load():
        until(lambda: agent.totals()["2xx"] > 60, "the usual is known")
        result = apply(agent, {"sites/a.conf": to(backend, 0.1)}, probation_ms=1500, max_slower_percent=10, min_requests=10)
    assert result["result"] == "applied", result
    assert any("request times could not be judged" in r and "$request_time" in r for r in result["remarks"]), result
