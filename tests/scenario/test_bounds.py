"""What a plugin may take of the agent outside of its sandbox, as an operator sees it: each plugin by itself."""

import contextlib
import http.server
import json
import sqlite3
import threading
import time

import pytest

import support
from support import cli, entry, wait_for

ABIS = ["extism", "wapc"]
LINES = 100  # a second


def guest(abi="extism", limits=None, **settings):
    """With time for megabytes on a busy machine, where nothing else is said."""
    path = support.BUILD / "tests" / "guests" / f"bounds-{abi}.wasm"
    return entry(path, limits={"call": "20s", **(limits or {})}, **settings)


@pytest.fixture
def agents(agents):
    def make(start=True, **options):
        agent = agents(start=False, **options)
        agent.settings["outrider"]["hook_timeout"] = "30s"
        agent.write_config()
        if start:
            agent.start()
        return agent

    return make


def ask(agent, topic, **data):
    """Returns how many of what was asked for were done, and the last error."""
    code, out, err = cli("plugin", "ask", topic, "--json", "--socket", agent.socket, "--input", json.dumps(data))
    assert out, (code, err)
    answer = json.loads(out)["answers"][0]
    assert answer["how"] == "answered", answer
    _, done, why = answer["message"].split(" ", 2)
    return int(done), why


class Slow(http.server.ThreadingHTTPServer):
    """Answers after as many seconds as the path says."""

    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.ended.wait(float(self.path.split("/")[-1]))
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def log_message(self, *args):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.ended = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, seconds):
        return f"http://127.0.0.1:{self.server_port}/{seconds}"


@pytest.fixture
def slow():
    server = Slow()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("abi", ABIS)
def test_a_plugin_that_uses_up_its_topics_hurts_nobody_else(agents, abi):
    def load(name):
        return guest(abi, name=name, hooks=[f"bounds.{name}"], grants={"publish": ["flood.*", "honest.*"]})

    agent = agents(plugins=[load("flooder"), load("honest")])
    for i in range(3):
        assert ask(agent, "bounds.flooder", do="publish", name=f"flood.{i}", n=300)[0] == 300
    flooder = wait_for(lambda: (p := agent.plugin("flooder"))["publish_dropped"] and p, "some are dropped")
    assert (flooder["published"], flooder["publish_dropped"]) == (256, 644)
    assert ask(agent, "bounds.honest", do="publish", name="honest.t", n=200)[0] == 200
    honest = wait_for(lambda: (p := agent.plugin("honest"))["published"] and p, "they are published")
    assert (honest["published"], honest["publish_dropped"]) == (200, 0)
    for verb in ["disable", "enable"]:
        assert cli("plugin", verb, "flooder", "--socket", agent.socket)[0] == 0
    agent.wait_plugin("flooder", "running")
    assert ask(agent, "bounds.flooder", do="publish", name="flood.new", n=256)[0] == 256
    wait_for(lambda: agent.plugin("flooder")["published"] == 512, "its names are free again")


@pytest.mark.parametrize("abi", ABIS)
def test_instances_of_a_plugin_share_its_quota_of_the_store(agents, folder, abi):
    store = folder / "kv.db"
    grants = {"kv_bytes": "100KiB"}
    one = guest(abi, name="one", hooks=["bounds.one"], instances=4, grants=grants)
    two = guest(abi, name="two", hooks=["bounds.two"], grants=grants)
    agent = agents(plugins=[one, two], start=False)
    agent.settings["plugins"]["store"] = str(store)
    agent.write_config()
    agent.start()

    def used(name):
        with contextlib.closing(sqlite3.connect(store)) as db:
            sums = "sum(length(CAST(key AS BLOB)) + length(value) + 64)"
            return db.execute(f"SELECT {sums} FROM kv WHERE plugin = ?", [name]).fetchone()[0] or 0

    def fill(tag):
        took.append((tag, ask(agent, "bounds.one", do="put", name=tag, n=60)))

    took = []
    threads = [threading.Thread(target=fill, args=[tag]) for tag in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 100 * 1024 - 1100 < used("one") <= 100 * 1024
    assert sum(done for _, (done, _) in took) == used("one") // 1070
    assert any("kv quota of 102400 bytes" in why for _, (_, why) in took)
    assert ask(agent, "bounds.two", do="put", name="a", n=60) == (60, "")
    for tag in "abcdef":
        assert ask(agent, "bounds.one", do="drop", name=tag, n=60) == (60, "")
    assert used("one") == 0
    assert ask(agent, "bounds.one", do="put", name="a", n=90) == (90, "")


@pytest.mark.parametrize("abi", ABIS)
def test_errors_count_against_the_lines_of_a_plugin(agents, abi):
    grants, limits = {"publish": ["storm.x"]}, {"publish": 1000000}
    storm = guest(abi, name="storm", hooks=["bounds.storm"], instances=3, grants=grants, limits=limits)
    agent = agents(plugins=[storm])
    begin = time.monotonic()
    ask(agent, "bounds.storm", do="storm", n=300)
    wait_for(lambda: agent.plugin("storm")["errors"] > 3000, "it fails a lot")

    def told():
        ask(agent, "bounds.storm", do="storm", n=10)
        return "log lines of plugin dropped" in agent.text()

    wait_for(told, "the log says that lines are missing")
    text, seconds = agent.text(), time.monotonic() - begin
    lines = sum("plugin=storm" in line for line in text.splitlines())
    assert lines <= LINES * (seconds + 2) + 10
    assert agent.plugin("storm")["logs_dropped"] > 100
    assert agent.plugin("storm")["dead_letters"] >= 3000


@pytest.mark.parametrize("abi", ABIS)
def test_dead_letters_are_bounded_by_their_bytes(agents, abi):
    big = guest(abi, name="big", hooks=["bounds.big"], grants={"publish": ["kept.x"]}, limits={"memory": "128MiB"})
    agent = agents(plugins=[big])
    for n in range(1, 9):
        assert ask(agent, "bounds.big", do="kept", n=9000000) == (1, "")
        wait_for(lambda n=n: agent.plugin("big")["dead_letters"] == n, "it could not be processed")
    code, out, _ = cli("plugin", "dead-letters", "big", "--json", "--socket", agent.socket)
    letters = json.loads(out)
    assert code == 0 and [letter["number"] for letter in letters] == list(range(1, 9))
    assert [letter.get("replayable", True) for letter in letters] == [False] * 6 + [True] * 2
    assert all(letter["message"]["topic"] == "kept.x" for letter in letters)
    assert all(letter["message"]["omitted_bytes"] > 9000000 for letter in letters)
    assert cli("plugin", "replay", "big", "--socket", agent.socket)[0] == 0
    wait_for(lambda: agent.plugin("big")["dead_letters"] == 10, "the two that were kept failed again")


@pytest.mark.parametrize("abi", ABIS)
def test_a_request_in_init_has_the_time_of_init(agents, slow, abi):
    def load(name, seconds, times, limits):
        config = {"url": slow.url(seconds), "times": times}
        grants = {"http": [f"http://127.0.0.1:{slow.server_port}/*"]}
        return guest(abi, name=name, hooks=[f"bounds.{name}"], config=config, grants=grants, limits=limits)

    patient = load("patient", 1.2, 1, {"init": "20s", "call": "1s"})
    hasty = load("hasty", 30, 1, {"init": "500ms", "call": "30s"})
    begin = time.monotonic()
    agent = agents(plugins=[patient, hasty])
    assert time.monotonic() - begin < 15
    assert agent.plugin("patient")["state"] == "running"
    assert agent.plugin("hasty")["state"] != "running"
    wait_for(lambda: "http.request to 127.0.0.1" in agent.plugin("hasty")["reason"], "it says why")
    done, why = ask(agent, "bounds.patient", do="get", name=slow.url(5), n=1)
    assert done == 0 and "http.request to 127.0.0.1" in why
    assert agent.plugin("patient")["timeouts"] == 0  # it had the error, and time to say so
