"""Our gRPC layer against grpc-go, where Go and its module are to be had."""

import os
import pathlib
import shutil
import subprocess

import pytest
from rpc_peers import MANY, Probe

SOURCE = pathlib.Path(__file__).parents[2] / "bench/peers/rpc-go"
MIB = 1 << 20


@pytest.fixture(scope="module")
def go(tmp_path_factory):
    compiler = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(compiler):
        pytest.skip("there is no Go")
    program = tmp_path_factory.mktemp("go") / "rpc-go"
    try:
        made = subprocess.run([compiler, "-C", SOURCE, "build", "-trimpath", "-o", program, "."], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        pytest.skip("grpc-go was not built in time")
    if made.returncode != 0:
        pytest.skip(f"grpc-go is not to be had: {made.stdout.strip().splitlines()[-1:]}")
    return program


@pytest.fixture
def server(go):
    with subprocess.Popen([go, "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield child.stdout.readline().strip()
        child.stdin.close()


def test_our_client(server):
    with Probe("client", target=server, max_send=20 * MIB, max_recv=20 * MIB, quiet=1) as probe:
        probe.start(path="/t.S/Echo", size=100, count=3, calls=2000, at_once=500, id="many")
        assert probe.until("done", id="many")["ok"] == "2000"
        probe.start(path="/t.S/Echo", size=16 * MIB, count=2, id="large")
        assert probe.until("done", id="large")["bytes"] == str(32 * MIB)
        probe.start(path="/t.S/Echo", size=100000, count=40, pause=2, id="slow")
        assert probe.until("done", id="slow")["bytes"] == "4000000"


def test_our_client_at_its_deadline(server):
    """grpc-go resets the call at its deadline, which is ours: told as CANCEL, and no cancel all the same."""
    with Probe("client", target=server) as probe:
        probe.start(path="/t.S/Echo", finish=0, timeout=60, calls=40, at_once=10, id="late")
        for _ in range(40):
            assert probe.until("closed", id="late")["status"] == "4"


def test_our_server(go):
    with Probe("server", max_send=20 * MIB, max_recv=20 * MIB, quiet=1) as probe:
        address = probe.until("listening")["address"]
        for arguments in (("unary", address, "4000", "200"), ("stream", address, "3", str(16 * MIB))):
            done = subprocess.run([go, *arguments], capture_output=True, text=True, timeout=4 * MANY)
            assert done.returncode == 0, done.stderr
        probe.wait(lambda info: info["connections"] == "0")
