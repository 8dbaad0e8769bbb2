"""The example plugins and third-party guests in a real agent, with real traffic."""

import pathlib

import pytest

import support
from support import cli, entry, wait_for

PLUGINS = support.BUILD / "plugins"
# Those of protobuf, of files, of bounds and of the later services have tests of their own.
GUESTS = sorted(
    path
    for path in (support.BUILD / "tests/guests").glob("*-*.wasm")
    if "protobuf" not in path.stem and not path.stem.startswith(("bounds-", "files-", "services-", "third-"))
)


def example(name, **settings):
    path = PLUGINS / f"{name}.wasm"
    assert path.exists(), f"{path} is not built: make deps"
    return entry(path, **settings)


def test_rate_watch_raises_and_clears_an_alert(nginx, agents):
    agent = agents(plugins=[example("rate-watch", config={"threshold": 30}, grants={"publish": ["alert.*"]})])
    wait_for(lambda: agent.events("nginx.metrics.sampled"), "sampling")
    for _ in range(60):
        nginx.get("/")
    raised = agent.wait_event("alert.request-rate", lambda e: e["data"]["state"] == "raised")
    assert raised["source"] == "rate-watch" and raised["data"]["threshold"] == 30
    agent.wait_event("alert.request-rate", lambda e: e["data"]["state"] == "cleared")


def test_status_digest_counts_by_window(nginx, agents):
    agent = agents(plugins=[example("status-digest", config={"window": 1}, grants={"publish": ["digest.*"]})])
    wait_for(lambda: agent.events("nginx.metrics.sampled"), "sampling")
    for path in ("/", "/missing", "/missing", "/broken"):
        nginx.get(path)

    def counted():
        found = [e["data"] for e in agent.events("digest.status")]
        return sum(d["4xx"] for d in found) == 2 and sum(d["5xx"] for d in found) == 1

    wait_for(counted, lambda: agent.events("digest.status"))


def test_health_notes_writes_a_sentence(nginx, agents):
    agent = agents(plugins=[example("health-notes", grants={"publish": ["note.*"]})])
    agent.wait_plugin("health-notes", "running")
    nginx.stop()
    note = agent.wait_event("note.instance", lambda e: "stopped" in e["data"]["text"])
    assert note["source"] == "health-notes"
    nginx.start()


def test_an_example_refuses_a_bad_config_with_its_own_words(nginx, agents):
    agent = agents(plugins=[example("rate-watch", config={"threshold": "many"}, grants={"publish": ["alert.*"]})])
    assert "threshold" in agent.wait_plugin("rate-watch", "disabled")["reason"]


@pytest.mark.parametrize("guest", GUESTS, ids=lambda p: pathlib.Path(p).stem)
def test_a_guest_of_a_public_sdk_runs_offline_and_on_the_bus(guest, nginx, agents):
    assert cli("plugin", "call", guest, "echo", "--input", "round trip")[:2] == (0, b"round trip")
    code, _, err = cli("plugin", "call", guest, "fail")
    assert code == 1 and "asked to fail" in err
    agent = agents(plugins=[entry(guest, name="sdk-guest", subscribe=["nginx.metrics.sampled"], grants={"publish": ["test.*"]})])
    agent.wait_plugin("sdk-guest", "running")
    assert agent.wait_event("test.echo")["source"] == "sdk-guest"


def test_there_are_guests_of_public_sdks():
    assert len(GUESTS) >= 4
