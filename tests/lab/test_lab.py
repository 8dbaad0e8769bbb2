"""The lab itself: what the other files rely on."""

import signal

import lab as laboratory
from lab import get, state_of, until

PAGE = """access_log {log}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }}
    location /missing {{ return 404; }} location = /status {{ stub_status; access_log off; }} }}"""


def test_an_agent_counts_what_was_asked(lab):
    server = lab.nginx(PAGE.format(log=lab.dir / "a.log"))
    agent = lab.agent()
    seen = agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])
    assert seen["workers"] == server.workers()
    before = agent.samples(1)
    for _ in range(7):
        assert get("/") == 200
    assert get("/missing") == 404
    after = agent.samples(2)
    assert (after["2xx"] - before["2xx"], after["4xx"] - before["4xx"]) == (7, 1)


def test_the_next_machine_is_empty(lab):
    assert not (lab.dir / "n").exists()
    assert get_refused()
    agent = lab.agent()
    assert agent.instances() == []
    assert agent.cli("status")[0] != 0


def test_an_ended_master_stays_a_zombie_when_nobody_reaps(lab):
    lab.reap(False)
    server = lab.nginx(PAGE.format(log="off"))
    pid = server.pid
    server.signal(signal.SIGTERM)
    until(lambda: state_of(pid) == "Z", "a zombie")
    lab.reap(True)
    until(lambda: state_of(pid) is None, "it is reaped")


def get_refused():
    try:
        laboratory.raw("GET / HTTP/1.0\r\n\r\n", 8101)
    except ConnectionRefusedError:
        return True
    return False
