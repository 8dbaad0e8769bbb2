"""Everything that an operator can do to plugins, at random and at once: accounts balance for every plugin.

OTR_CHAOS_SECONDS: how long (6); OTR_CHAOS_SEED: which random numbers. Run it for minutes under the thread sanitizer:
tools/build tsan outrider, OUTRIDER=build/tsan/outrider, OTR_CHAOS_SECONDS=300.
"""

import os
import random
import signal
import time

import pytest

import support
from support import entry, extism_guest, publish_code, wait_for, write_guest

SECONDS = float(os.environ.get("OTR_CHAOS_SECONDS", "6"))
SEED = int(os.environ.get("OTR_CHAOS_SEED", "7"))
ALLOW = '{"verdict":"allow"}'
COUNT = "(global.set $count (i32.add (global.get $count) (i32.const 1)))"
# Publishes 40 messages for each question, and allows.
FLOOD = dict(
    subscriptions='{"topics":[{"pattern":"chaos.flood","kind":"hook"}]}',
    functions=publish_code("chaos.x", '{"n":1}') + f'(data (i32.const 16384) "{support.escape(ALLOW)}")',
    process="(local $i i32) (loop $l (drop (call $say)) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    " (br_if $l (i32.lt_u (local.get $i) (i32.const 40))))"
    f" (call $answer (i32.const 16384) (i32.const {len(ALLOW)})) (i32.const 0)",
)
EVERY = "(i32.eqz (i32.rem_u (global.get $count) (i32.const {n})))"
GUESTS = {
    "flood": FLOOD,
    "steady": dict(process=f"{COUNT} (i32.const 0)"),
    "trap": dict(process=f"{COUNT} (if {EVERY.format(n=97)} (then (unreachable))) (i32.const 0)"),
    "error": dict(process=f"{COUNT} {EVERY.format(n=5)}"),
    "slow": dict(
        process="(local $i i32) (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        " (br_if $l (i32.lt_u (local.get $i) (i32.const 300000)))) (i32.const 0)"
    ),
}
QUICK = {"backoff": "5ms", "backoff_max": "20ms", "failures": 20, "window": "1s"}


def sources(folder):
    for name, guest in GUESTS.items():
        write_guest(folder, name, extism_guest(topics=("chaos.*",), **guest))


def base(folder, engine):
    entries = {n: entry(folder / f"{n}.wat", engine=engine, restart=dict(QUICK)) for n in GUESTS}
    entries["flood"]["grants"] = {"publish": ["chaos.*"]}
    entries["trap"]["instances"] = 3
    entries["slow"]["limits"] = {"queue": 50}
    return entries


def balanced(p):
    q = p["queue"]
    assert q["received"] == q["taken"] + q["dropped"] + q["coalesced"] + q["depth"], p
    assert q["taken"] + p["given_again"] == p["handled"] + p["skipped"] + p["dead_letters"] + p["in_hand"], p


class Chaos:
    def __init__(self, agent, folder, engine):
        self.agent, self.folder = agent, folder
        self.base = base(folder, engine)
        self.now = {n: dict(e) for n, e in self.base.items()}
        self.random = random.Random(SEED)

    def name(self):
        return self.random.choice(list(self.base))

    def write(self):
        entries = list(self.now.values())
        self.random.shuffle(entries)
        self.agent.settings["plugins"]["load"] = entries
        self.agent.settings["plugins"]["watch"] = self.random.random() < 0.7
        self.agent.write_config()

    def hangup(self):
        self.write()
        self.agent.signal(signal.SIGHUP)

    def reload(self):
        self.write()
        status, body = self.agent.request("/api/v1/reload", "POST")
        if status == 200:
            said = {p["name"] for p in body["plugins"] if p["result"] != "removed"}
            assert said == set(self.now), body
            assert not [p for p in body["plugins"] if p["result"] == "failed"], body

    def verb(self):
        word = self.random.choice(["reload", "disable", "enable", "enable", "replay"])
        status, body = self.agent.request(f"/api/v1/plugins/{self.name()}/{word}", "POST")
        assert status in (200, 404, 409), (status, body)

    def ask(self):
        self.agent.request("/api/v1/hooks/chaos.flood?deadline_ms=300", "POST")

    def touch(self):
        name = self.name()
        write_guest(self.folder, name, extism_guest(topics=("chaos.*",), **GUESTS[name]))

    def change(self):
        name = self.name()
        if name not in self.now:
            self.now[name] = dict(self.base[name])
        settings = self.now[name]
        pick = self.random.choice
        key, value = pick(
            [
                ("limits", {"queue": pick([5, 50, 1024]), "memory": pick(["1MiB", "16MiB"]), "call": "500ms"}),
                ("instances", pick([1, 2, 4])),
                ("config", {"x": pick([1, 2, 3])}),
                ("subscribe", pick([["chaos.*"], ["chaos.x", "else.*"], ["other.*"]])),
                ("off", pick([True, False])),
                ("on_failure", pick(["restart", "disable"])),
                ("gone", None),
                ("as before", None),
            ]
        )
        if key == "gone":
            del self.now[name]
        elif key == "as before":
            self.now[name] = dict(self.base[name])
        else:
            settings[key] = value
        pick([self.hangup, self.reload])()

    def step(self):
        self.random.choices(
            [self.ask, self.verb, self.change, self.hangup, self.touch], weights=[10, 4, 3, 1, 1]
        )[0]()
        for p in self.guests():
            balanced(p)

    def guests(self):
        return [p for p in self.agent.api("status")["plugins"] if p["kind"] == "guest"]

    def settle(self):
        """As it began, with all of them on."""
        self.now = {n: dict(e) for n, e in self.base.items()}
        wait_for(lambda: (self.write(), self.agent.request("/api/v1/reload", "POST")[0] == 200)[1], "a reload")
        for name in self.base:
            wait_for(lambda n=name: self.up(n), lambda n=name: f"{n} runs: {self.agent.plugin(n)}")
        wait_for(
            lambda: all(p["queue"]["depth"] + p["in_hand"] == 0 for p in self.guests()),
            lambda: f"all messages are done: {self.guests()}",
        )

    def up(self, name):
        p = self.agent.plugin(name)
        if p and p["state"] == "disabled":
            self.agent.request(f"/api/v1/plugins/{name}/enable", "POST")
        return p and p["state"] == "running"


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_accounts_balance_whatever_is_done_to_plugins(folder, agents, engine):
    print(f"OTR_CHAOS_SEED={SEED}")
    sources(folder)
    agent = agents(plugins=list(base(folder, engine).values()), config={"log": {"level": "info"}})
    chaos = Chaos(agent, folder, engine)
    end = time.monotonic() + SECONDS / 2
    while time.monotonic() < end:
        try:
            chaos.step()
        except OSError as why:
            raise AssertionError(f"{why}: {agent.process.wait(10)}\n{agent.text()[-6000:]}") from why
    chaos.settle()
    received = 0
    for p in chaos.guests():
        balanced(p)
        received += p["queue"]["received"]
    assert received > 0
    before = agent.plugin("steady")["handled"]
    chaos.ask()
    wait_for(lambda: agent.plugin("steady")["handled"] >= before + 40, "messages are handled as before")
    assert "WARNING: ThreadSanitizer" not in agent.text()
