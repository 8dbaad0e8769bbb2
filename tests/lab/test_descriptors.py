"""File descriptors: the limit is raised, children keep theirs, and to have none left is said as our own lack."""

import contextlib
import json
import os
import pathlib
import re
import resource

from lab import get, until

SPARES = 4  # /dev/null, opened to be given up for the admin socket

MANY = """server {{ listen 127.0.0.1:8101 default_server; access_log off; location / {{ return 200 x; }}
    location = /status {{ stub_status; }} }}
{servers}"""


def many(lab, n):
    (lab.dir / "logs").mkdir()
    servers = "".join(f"server {{ listen 127.0.0.1:8101; server_name h{i}.test; access_log {lab.dir}/logs/{i}.log; "
                      f"location / {{ return 200 x; }} }}\n" for i in range(n))
    return lab.nginx("server_names_hash_max_size 65536;" + MANY.format(servers=servers),
                     main="worker_rlimit_nofile 20000;")


def soft_limit(pid):
    text = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return int(re.search(r"Max open files +(\d+)", text)[1])


def test_more_logs_than_the_soft_limit_are_all_read(lab):
    server = many(lab, 1500)
    agent = lab.agent(wrap=["prlimit", "--nofile=1024:20000"], level="info")
    seen = agent.wait_instance(server.pid, lambda i: i["health"] == "healthy" and i["metrics"])
    assert soft_limit(agent.process.pid) == 20000
    until(lambda: agent.descriptors() > 1500, "all are open")
    before = agent.samples(1)
    for i in (1, 750, 1499):
        for _ in range(10):
            assert get("/", headers={"Host": f"h{i}.test"}) == 200
    until(lambda: agent.samples(1)["2xx"] - before["2xx"] == 30, "each of them counts")
    until(lambda: agent.cli("status")[0] == 0 and agent.status()["reasons"] == [], lambda: agent.status()["reasons"])
    cpu = agent.cpu()
    agent.samples(10)
    assert agent.cpu() - cpu < 1.5
    assert seen["pid"] == server.pid


def asked(agent):
    """The status by the admin socket, which has descriptors kept for it."""
    code, said = agent.cli("status", "--json")
    assert code in (0, 1), said
    return json.loads(said)


def test_more_logs_than_descriptors_are_all_read(lab):
    server = many(lab, 1500)
    agent = lab.agent(wrap=["prlimit", "--nofile=512:512"], level="info")
    agent.wait_instance(server.pid, lambda i: i["health"] == "healthy" and i["metrics"])
    before = agent.samples(1)
    for i in range(0, 1500, 50):
        assert get("/", headers={"Host": f"h{i}.test"}) == 200
    until(lambda: agent.samples(1)["2xx"] - before["2xx"] == 30, "each of them counts")
    assert agent.descriptors() < 400
    until(lambda: agent.cli("status")[0] == 0 and agent.status()["reasons"] == [], lambda: agent.status()["reasons"])


def lowest_free(agent):
    """The number that the agent's next descriptor gets; None while one of those that it puts aside is lent out."""
    used = {}
    for entry in pathlib.Path(f"/proc/{agent.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            used[int(entry.name)] = os.readlink(entry)
    spares = [n for n, target in used.items() if target == "/dev/null" and n > 2]
    return next(n for n in range(4096) if n not in used) if len(spares) >= SPARES else None


def test_without_descriptors_it_says_so_and_nothing_false(lab):
    server = many(lab, 20)
    agent = lab.agent(level="info")
    agent.wait_instance(server.pid, lambda i: i["health"] == "healthy" and i["metrics"])

    limit = 4096

    def starved():
        # The kernel gives the lowest free number: with a limit of just that one there is none. What the agent had open in
        # passing is free again afterwards: the next look takes that number, and in the end only lasting ones are left.
        nonlocal limit
        limit = min(limit, lowest_free(agent) or limit)
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (limit, 4096))
        return [r for r in asked(agent)["reasons"] if "out of descriptors" in r]

    reason = until(starved, "status says so", seconds=60, step=0.3)[0]
    assert "LimitNOFILE" in reason
    cpu = agent.cpu()
    for _ in range(20):
        status = asked(agent)
        assert status["pid"] == agent.process.pid
        assert agent.http("/metrics")[0] in (200, 503)
        assert not [r for r in status["reasons"] if "not running" in r], "never a verdict on NGINX"
    assert agent.cpu() - cpu < 5
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    until(lambda: asked(agent)["reasons"] == [], "it recovers", seconds=60)
