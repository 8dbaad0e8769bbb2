"""What a plugin knows of the NGINX instances: also one that comes late, and by asking."""

import os
import signal
import time

import pytest

import support
from support import Nginx, cli, entry, extism_guest, publish_code, wait_for, write_guest

# Publishes what `instances.list` answers (or the text of the refusal) at each message.
LISTING = """
  (data (i32.const 4096) "test.list")
  (data (i32.const 12288) "instances.list")
  (func $say (result i32) (local $at i64)
    (local.set $at (call $host (call $copy (i32.const 12288) (i32.const 14)) (call $copy (i32.const 0) (i32.const 0))))
    (i64.ne (i64.const 0) (call $publish (call $copy (i32.const 4096) (i32.const 9)) (local.get $at))))
"""
CALL = '(import "extism:host/user" "outrider_call" (func $host (param i64 i64) (result i64)))'


@pytest.fixture
def teller(folder):
    """Says test.seen at each nginx.instance.started."""
    text = extism_guest(
        process="(call $say)", functions=publish_code("test.seen", "true"), topics=("nginx.instance.started",)
    )
    return entry(write_guest(folder, "teller", text), grants={"publish": ["test.*"]})


def seen(agent, nginx):
    """How often the plugin heard of this very NGINX: the machine may run others."""
    ids = {e["id"] for e in agent.events("nginx.instance.started") if e["data"]["config"] == str(nginx.conf)}
    return sum(e["cause"] in ids for e in agent.events("test.seen"))


def found(agent, nginx):
    return any(i["config"] == str(nginx.conf) for i in agent.instances())


def add(agent, plugin):
    agent.settings["plugins"]["load"] = [plugin]
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.wait_plugin(plugin["name"], "running")


def test_a_plugin_that_was_there_hears_once(nginx, agents, teller):
    agent = agents(plugins=[teller])
    wait_for(lambda: seen(agent, nginx), "the plugin hears")
    time.sleep(0.5)
    assert seen(agent, nginx) == 1


def test_a_plugin_that_comes_late_hears_once(nginx, agents, teller):
    agent = agents()
    wait_for(lambda: found(agent, nginx), "NGINX is found")
    add(agent, teller)
    wait_for(lambda: seen(agent, nginx), "the plugin hears")
    time.sleep(0.5)
    assert seen(agent, nginx) == 1
    # A new version has forgotten, and hears again.
    assert cli("plugin", "reload", "teller", "--socket", agent.socket)[0] == 0
    wait_for(lambda: seen(agent, nginx) == 2, "the new version hears")


def test_an_instance_that_stopped_is_not_told(folder, nginx, agents, teller):
    other = Nginx(folder / "other")
    other.start()
    agent = agents()
    wait_for(lambda: found(agent, nginx) and found(agent, other), "both are found")
    other.stop()
    wait_for(lambda: not found(agent, other), "one has stopped")
    add(agent, teller)
    wait_for(lambda: seen(agent, nginx), "the plugin hears")
    time.sleep(0.5)
    assert seen(agent, nginx) == 1 and seen(agent, other) == 0


def lister(folder, **grants):
    text = extism_guest(process="(call $say)", functions=LISTING, imports=CALL, topics=("nginx.metrics.sampled",))
    return entry(write_guest(folder, "lister", text), grants={"publish": ["test.*"], **grants})


def test_the_list_of_instances_is_that_of_the_topic(folder, nginx, agents):
    agent = agents(plugins=[lister(folder, instances=True)])
    ours = lambda list_: next((i for i in list_ if i["config"] == str(nginx.conf)), None)
    listed = ours(agent.wait_event("test.list", lambda e: ours(e["data"]))["data"])
    told = agent.wait_event("nginx.instance.started", lambda e: ours([e["data"]]))["data"]
    assert listed["pid"] == nginx.pid()
    assert set(told) == set(listed) and told["id"] == listed["id"]
    os.kill(nginx.pid(), signal.SIGHUP)  # new workers
    changed = agent.wait_event("nginx.instance.changed", lambda e: ours([e["data"]]))["data"]
    assert changed["workers"] != told["workers"]
    agent.wait_event("test.list", lambda e: (i := ours(e["data"])) and i["workers"] != told["workers"])


def test_the_list_of_instances_needs_a_grant(folder, nginx, agents):
    agent = agents(plugins=[lister(folder)])
    wait_for(lambda: (agent.plugin("lister") or {}).get("denials", 0) > 1, "denials are counted")
    assert agent.events("test.list") == []
    assert agent.text().count("host operation denied") == 1


def test_a_component_of_the_world_1_1_lists_the_instances(nginx, agents):
    path = support.BUILD / "tests/guests/services-wit.wasm"
    if not path.exists():
        pytest.skip("the guests are not built")
    agent = agents(plugins=[entry(path, name="wit", grants={"publish": ["test.*"], "instances": True})])
    agent.wait_event("test.services", lambda e: str(nginx.conf) in [i["config"] for i in e["data"]])
    assert agent.plugin("wit")["abi"] == "wit" and agent.plugin("wit")["version"] == "1.1.0"
