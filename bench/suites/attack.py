"""How late a well-behaved plugin's messages come while others attack: one of each NGINX, five times a second.

Several NGINX give enough messages that the 99th percentile is not simply the latest of them.
Each class of attack runs three times over, so there are more attackers than worker threads. The
scenario tests/scenario/test_attack.py holds the agent to losing nothing meanwhile.
"""

import os
import pathlib
import shutil
import sys
import tempfile

import guests
from harness import Row, Unavailable

SECONDS = 15
AT_MOST_MS = 5
NGINXES = 8


def scenario(bench):
    """The scenarios' own helpers, on the release binary."""
    os.environ["OUTRIDER"] = str(bench.binary("outrider"))
    sys.path.insert(0, str(bench.top.parent / "tests" / "scenario"))
    import attacks
    import support

    if support.NGINX is None:
        raise Unavailable("no NGINX")
    return attacks, support


def run(bench):
    attacks, support = scenario(bench)
    pace = guests.conformance(bench, kinds=()) / "pace.wasm"
    hostile = guests.hostile(bench)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="otr-"))
    servers = [support.Nginx(folder / f"nginx-{n}") for n in range(NGINXES)]
    try:
        for server in servers:
            server.start()
        for name, files in [("nobody attacks", []), *sorted(attacks.ATTACKS.items())]:
            yield measure(attacks, support, (pace, hostile, folder), name, files)
    finally:
        for server in servers:
            if server.pid():
                server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def measure(attacks, support, where, name, files):
    pace, hostile, folder = where
    drip = attacks.Drip()
    agent = support.Agent(folder / name.split()[0])
    attacks.configure(agent, pace, attacks.attackers(hostile, files, drip))
    agent.start()
    try:
        if files:
            support.wait_for(lambda: attacks.struck(agent)["calls"] >= 4, "they attack")
        late = attacks.measure(agent, SECONDS)
        lost = agent.plugin("pace")["queue"]["dropped"]
        return Row(name=f"p99, {name}", ours=attacks.percentile(late, 0.99), unit="ms", at_most=AT_MOST_MS,
                   note=f"p50 {attacks.percentile(late, 0.5):.1f}, most {max(late):.1f} ms, {len(late)} messages, "
                        f"{lost} lost; attackers: {attacks.struck(agent)}")
    finally:
        agent.stop()
        drip.close()
