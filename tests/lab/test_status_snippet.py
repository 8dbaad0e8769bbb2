"""The server block that `outrider nginx status-snippet` prints: NGINX takes it, the agent finds it, and no log tells of it."""

import subprocess

import pytest
from lab import BINARY, NGINX, sh, until

PLACES = {
    None: ("listen 127.0.0.1:8089;", "allow 127.0.0.1;"),
    "8101": ("listen 127.0.0.1:8101;", "allow 127.0.0.1;"),
    "127.0.0.1:65535": ("listen 127.0.0.1:65535;", "allow 127.0.0.1;"),
    "[::1]:1": ("listen [::1]:1;", "allow ::1;"),
    "unix:/run/lab-status.sock": ("listen unix:/run/lab-status.sock;", "allow unix:;"),
}
REFUSED = ("", "0", "65536", "99999999999999999999", "+80", "80 ", "*:80", "0.0.0.0:80", "10.0.0.1:80", "localhost:80", "127.0.0.1",
           "127.0.0.1:", "[::1]", "[::]:80", "80; } server { listen 81", "unix:", "unix:rel", "unix:/", "unix:/a b", "unix:/a;", "unix:/$x",
           "unix:/a\n}", "unix:/" + "a" * 107)


def snippet(*args):
    return subprocess.run([BINARY, "nginx", "status-snippet", *args], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("place", PLACES)
def test_nginx_takes_it_and_polls_leave_no_line(lab, place):
    made = snippet(*(["--listen", place] if place else []))
    assert made.returncode == 0, made.stderr
    assert all(text in made.stdout for text in (*PLACES[place], "access_log off;", "deny all;"))
    log = lab.dir / "all.log"
    server = lab.nginx(f"access_log {log}; server {{ listen 127.0.0.1:8100; location / {{ return 200 x; }} }}\n{made.stdout}")
    assert "test is successful" in sh(f"{NGINX} -t -c {server.conf} 2>&1")
    agent = lab.agent(interval="100ms")
    first = agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])["metrics"]["requests"]
    agent.wait_instance(server.pid, lambda i: i["metrics"]["requests"] >= first + 3)
    assert "outrider_status" not in log.read_text() and log.read_text() == "", "polls are silent"
    agent.stop()
    server.stop()


def test_a_place_that_others_reach_is_refused():
    for place in REFUSED:
        made = snippet(f"--listen={place}")
        assert (made.returncode, made.stdout) == (2, ""), place
        assert "it takes a place of this host alone" in made.stderr, place
    assert snippet("unix:/" + "a" * 106).returncode == 2
    assert snippet("--listen=unix:/" + "a" * 106).returncode == 0
    assert "its value is missing" in snippet("--listen").stderr
    assert "there is no such option" in snippet("--plus").stderr
    assert snippet("--help").stdout.startswith("Usage: outrider nginx status-snippet")
