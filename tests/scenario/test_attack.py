"""Attackers of each class beside a well-behaved plugin: the agent lives, nothing that was meant for it is lost."""

import pytest

import attacks
import support
from support import wait_for

GUESTS = support.BUILD / "tests" / "guests"


@pytest.fixture
def drip():
    server = attacks.Drip()
    yield server
    server.close()


@pytest.mark.parametrize("name", sorted(attacks.ATTACKS))
def test_a_well_behaved_plugin_misses_nothing_beside_attackers(nginx, agents, drip, name):
    agent = agents(start=False)
    evil = attacks.attackers(GUESTS / "hostile", attacks.ATTACKS[name], drip)
    attacks.configure(agent, GUESTS / "pace.wasm", evil)
    agent.start()
    wait_for(lambda: attacks.struck(agent)["calls"] >= 4, "they attack")
    late = attacks.measure(agent, 4)
    assert len(late) >= 16
    pace = agent.plugin("pace")
    assert pace["state"] == "running" and pace["errors"] == pace["traps"] == pace["timeouts"] == 0
    assert pace["queue"]["dropped"] == 0
    if name == "dripping HTTP":
        assert drip.served > 0
    print(f"{name}: p50 {attacks.percentile(late, 0.5):.1f} ms, p99 {attacks.percentile(late, 0.99):.1f} ms")
