"""kill -9 of the agent, and two agents at once: the kv store and the compiled-code cache stay sound."""

import random
import sqlite3
import time

import support
from support import entry, wait_for

GUESTS = support.BUILD / "tests" / "guests"
MANY = ["c-extism", "c-wapc", "c-wasi-extism", "zig-extism", "as-wapc", "rust-wapc"]


def guests(names):
    return [entry((GUESTS / f"{n}.wasm").resolve(), name=n) for n in names if (GUESTS / f"{n}.wasm").exists()]


def kill(agent):
    """kill -9; the next start() then waits for its own line in the log."""
    agent.process.kill()
    agent.process.wait()
    agent.log_path.unlink()


def test_two_agents_fill_one_code_cache_at_once(agents, folder):
    cache = folder / "shared"
    both = [agents(start=False, plugins=guests(MANY)) for _ in range(2)]
    for agent in both:
        agent.settings["plugins"]["cache"] = str(cache)
        agent.write_config()
        agent.start(wait=False)
    for agent in both:
        wait_for(lambda a=agent: "msg=ready" in a.text(), "it is ready", seconds=120)
        for plugin in guests(MANY):
            agent.wait_plugin(plugin["name"], "running", seconds=120)
    kept = sorted(p.name for p in cache.iterdir())
    assert len(kept) >= len(guests(MANY))
    third = agents(start=False, plugins=guests(MANY))
    third.settings["plugins"]["cache"] = str(cache)
    third.write_config()
    third.start()
    for plugin in guests(MANY):
        third.wait_plugin(plugin["name"], "running")
    assert sorted(p.name for p in cache.iterdir()) == kept


def test_kill_9_while_compiling_leaves_a_usable_cache(agents):
    agent = agents(start=False, plugins=guests(MANY))
    dice = random.Random(7)
    for _ in range(10):
        agent.start(wait=False)
        time.sleep(dice.uniform(0.02, 0.6))
        kill(agent)
    agent.start(wait=False)
    wait_for(lambda: "msg=ready" in agent.text(), "it is ready", seconds=120)
    for plugin in guests(MANY):
        agent.wait_plugin(plugin["name"], "running", seconds=120)


def test_kill_9_while_a_plugin_writes_leaves_a_sound_store(nginx, agents, folder):
    """The writer sets keys as fast as it can until its deadline, in each of its calls."""
    writer = entry(
        (GUESTS / "hostile" / "flood-kv.put-extism.wasm").resolve(),
        name="writer",
        subscribe=["nginx.metrics.sampled"],
        grants={"kv_bytes": "1MiB"},
        limits={"call": "200ms"},
    )
    store = folder / "plugins.db"
    agent = agents(start=False, plugins=[writer])
    agent.settings["plugins"]["store"] = str(store)
    agent.write_config()
    dice = random.Random(11)
    for _ in range(5):
        agent.start()
        wait_for(lambda: agent.plugin("writer")["timeouts"] > 0, "it has written until its deadline")
        time.sleep(dice.uniform(0, 0.3))
        kill(agent)
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = database.execute("SELECT count(*), sum(length(key) + length(value)) FROM kv").fetchone()
            assert kept[0] > 0 and kept[1] <= 1 << 20
        database.close()
    agent.start()
    agent.wait_plugin("writer", "running")
