"""A name server that never answers: a plugin has an error before its call is over, and the agent ends when told."""

import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "scenario"))

import support
from test_bounds import ask, guest


def test_a_silent_name_server_outlives_no_call(tmp_path):
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 53))
    grants = {"http": ["http://nowhere.example/*"]}
    web = guest(name="web", hooks=["bounds.web"], grants=grants, limits={"call": "2s"})
    agent = support.Agent(tmp_path / "agent", plugins=[web])
    agent.start()
    try:
        begin = time.monotonic()
        done, why = ask(agent, "bounds.web", do="get", name="http://nowhere.example/x", n=1)
        assert done == 0 and "nowhere.example: its name was not resolved within the call's time" in why
        assert time.monotonic() - begin < 8
        web = agent.plugin("web")
        assert (web["state"], web["timeouts"], web["traps"], web["restarts"]) == ("running", 0, 0, 0)
    finally:
        code, seconds = agent.stop()
        silent.close()
        subprocess.run(["umount", "/etc/resolv.conf"], check=True)
    assert code == 0 and seconds < 8  # the look-up alone takes ten
