"""Guests that work, and guests that do not: the agent lives, the others keep their pace, status says why."""

import pytest

import support
from support import entry, extism_guest, publish_code, wait_for, write_guest

GOOD = dict(
    process="(call $say)", functions=publish_code("test.good", '{"ok":true}'), topics=("nginx.metrics.sampled",)
)


@pytest.fixture
def good(folder):
    return entry(write_guest(folder, "good", extism_guest(**GOOD)), grants={"publish": ["test.*"]})


def still_fine(agent):
    """The good plugin goes on publishing from now on."""
    before = agent.plugin("good")["published"]
    wait_for(lambda: agent.plugin("good")["published"] > before + 2, "the good plugin goes on")
    assert not agent.ended()


def test_a_guest_gets_events_and_publishes(nginx, agents, good):
    agent = agents(plugins=[good])
    event = agent.wait_event("test.good")
    assert event["source"] == "good"
    assert event["data"] == {"ok": True}
    cause = next(e for e in agent.events("nginx.metrics.sampled") if e["id"] == event["cause"])
    assert cause["source"] == "metrics"
    plugin = agent.plugin("good")
    assert plugin["abi"] == "extism" and plugin["state"] == "running" and plugin["errors"] == 0


def test_without_a_grant_nothing_is_published(folder, nginx, agents):
    guest = write_guest(folder, "mute", extism_guest(**GOOD))
    agent = agents(plugins=[entry(guest)])
    wait_for(lambda: (agent.plugin("mute") or {}).get("denials", 0) > 1, "denials are counted")
    assert agent.events("test.good") == []
    assert agent.text().count("host operation denied") == 1


CASES = {
    "loops_in_init": dict(init="(loop $l (br $l)) (i32.const 0)"),
    "traps_in_init": dict(init="(unreachable)"),
    "loops_in_process": dict(process="(loop $l (br $l)) (i32.const 0)"),
    "traps_in_process": dict(process="(unreachable)"),
    "recurses_for_ever": dict(functions="(func $r (call $r) (call $r))", process="(call $r) (i32.const 0)"),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_guest_that_fails_is_restarted_and_then_disabled(folder, nginx, agents, good, name):
    plugin = name.replace("_", "-")
    guest = write_guest(folder, plugin, extism_guest(**CASES[name]))
    agent = agents(plugins=[good, entry(guest, limits={"call": "50ms", "init": "50ms"})])
    seen = agent.wait_plugin(plugin, "disabled", seconds=40)
    assert "5 failures" in seen["reason"]
    assert seen["traps"] + seen["timeouts"] >= 5
    still_fine(agent)


def test_a_trap_names_the_function(folder, nginx, agents):
    guest = write_guest(
        folder, "named", extism_guest(functions="(func $divide_by_nothing (unreachable))", process="(call $divide_by_nothing) (i32.const 0)")
    )
    agent = agents(plugins=[entry(guest, on_failure="disable")])
    seen = agent.wait_plugin("named", "disabled")
    assert "divide_by_nothing" in seen["reason"]
    assert "unreachable" in seen["reason"]


def test_a_guest_that_grows_for_ever_stops_at_its_limit(folder, nginx, agents, good):
    guest = write_guest(
        folder,
        "hungry",
        extism_guest(process="(drop (memory.grow (i32.const 16))) (i32.const 0)", topics=("nginx.metrics.sampled", "test.*")),
    )
    agent = agents(plugins=[good, entry(guest, limits={"memory": "4MiB"})])
    wait_for(lambda: (agent.plugin("hungry") or {}).get("calls", 0) > 20, "it was called often")
    assert agent.plugin("hungry")["memory_max_bytes"] <= 4 << 20
    still_fine(agent)


@pytest.mark.parametrize(
    "name,text,parts",
    [
        ("empty", "(module)", ["ABI"]),
        ("no-process", extism_guest(operations=("info", "subscriptions")), ["process"]),
        (
            "unknown-import",
            extism_guest(imports='(import "extism:host/env" "fly_to_the_moon" (func (param i64)))'),
            ["extism:host/env", "fly_to_the_moon"],
        ),
        ("garbage", "this is not wasm", ["garbage"]),
        ("bad-info", extism_guest(info="hello"), ["info", "JSON"]),
        ("bad-api", extism_guest(info='{"name":"t","version":"1","api":"99"}'), ["api", "99"]),
        ("bad-topics", extism_guest(subscriptions='{"topics":["UPPER CASE"]}'), ["subscriptions"]),
    ],
)
def test_a_guest_that_cannot_be_used_is_disabled_with_the_reason(folder, nginx, agents, good, name, text, parts):
    guest = write_guest(folder, name, text)
    agent = agents(plugins=[good, entry(guest)])
    seen = agent.wait_plugin(name, "disabled")
    for part in parts:
        assert part in seen["reason"], seen["reason"]
    still_fine(agent)


def test_a_missing_file_and_a_wrong_digest_are_named(folder, nginx, agents, good):
    guest = write_guest(folder, "pinned", extism_guest())
    agent = agents(plugins=[good, entry(folder / "gone.wasm", name="gone"), entry(guest, sha256="0" * 64)])
    assert "gone.wasm" in agent.wait_plugin("gone", "disabled")["reason"]
    assert "sha256" in agent.wait_plugin("pinned", "disabled")["reason"]
    still_fine(agent)


def test_an_answer_of_100_mb_is_refused(folder, nginx, agents, good):
    guest = write_guest(
        folder,
        "large",
        extism_guest(process="(call $output_set (call $alloc (i64.const 104857600)) (i64.const 104857600)) (i32.const 0)"),
    )
    agent = agents(plugins=[good, entry(guest, limits={"memory": "256MiB", "call": "5s"})])
    wait_for(lambda: sum((agent.plugin("large") or {}).get(k, 0) for k in ("errors", "traps")) > 0, "refused")
    still_fine(agent)


def test_a_guest_that_answers_itself_is_bounded(folder, nginx, agents, good):
    guest = write_guest(
        folder,
        "echo-chamber",
        extism_guest(
            process="(drop (call $say)) (drop (call $say)) (i32.const 0)",
            functions=publish_code("loop.self", "1"),
            topics=("loop.*", "nginx.metrics.sampled"),
        ),
    )
    agent = agents(plugins=[good, entry(guest, grants={"publish": ["loop.*"]}, limits={"queue": 16})])
    wait_for(lambda: (agent.plugin("echo-chamber") or {}).get("calls", 0) > 100, "it runs in circles")
    still_fine(agent)
    assert agent.plugin("echo-chamber")["queue"]["depth"] <= 16


def test_a_refused_config_is_shown_and_a_better_one_is_taken(folder, nginx, agents):
    import signal

    says_no = extism_guest(
        functions='(data (i32.const 16384) "threshold must be a number")',
        init="(call $error_set (call $copy (i32.const 16384) (i32.const 26))) (i32.const 1)",
    )
    guest = write_guest(folder, "picky", says_no)
    agent = agents(plugins=[entry(guest)])
    assert "threshold must be a number" in agent.wait_plugin("picky", "disabled")["reason"]
    write_guest(folder, "picky", extism_guest())
    agent.signal(signal.SIGHUP)
    agent.wait_plugin("picky", "running")


def test_plugins_are_added_and_removed_at_reload(folder, nginx, agents, good):
    import signal

    agent = agents(plugins=[good])
    extra = write_guest(folder, "extra", extism_guest())
    agent.settings["plugins"]["load"].append(entry(extra))
    agent.write_config()
    agent.signal(signal.SIGHUP)
    agent.wait_plugin("extra", "running")
    agent.settings["plugins"]["load"].pop()
    agent.write_config()
    agent.signal(signal.SIGHUP)
    wait_for(lambda: agent.plugin("extra") is None, "it is gone")
    still_fine(agent)


def test_an_instance_that_has_grown_is_replaced_before_it_meets_its_limit(folder, nginx, agents):
    """It takes a megabyte with each message and would end at 8; what it counts begins anew."""
    grow = "(drop (memory.grow (i32.const 16))) (i32.const 0)"
    guest = support.write_guest(folder, "grows", support.extism_guest(process=grow, topics=("nginx.metrics.sampled",)))
    agent = agents(plugins=[support.entry(guest, limits={"memory": "8MiB"})])
    seen = wait_for(
        lambda: (p := agent.plugin("grows")) and p["recycled"] >= 2 and p,
        lambda: f"{agent.plugin('grows')}\n{agent.text()[-2000:]}",
    )
    assert seen["state"] == "running" and seen["traps"] == 0 and seen["restarts"] == 0 and seen["errors"] == 0
    assert seen["memory_max_bytes"] <= 8 << 20
    wait_for(lambda: "limits.recycle" in agent.text(), "the log says so")


def test_recycling_can_be_switched_off(folder, nginx, agents):
    grow = "(drop (memory.grow (i32.const 16))) (i32.const 0)"
    guest = support.write_guest(folder, "grows", support.extism_guest(process=grow, topics=("nginx.metrics.sampled",)))
    agent = agents(plugins=[support.entry(guest, limits={"memory": "4MiB", "recycle": 0})])
    wait_for(lambda: (agent.plugin("grows") or {}).get("calls", 0) >= 12, "twelve calls")
    assert agent.plugin("grows")["recycled"] == 0
