"""Fixtures: a private NGINX, an agent, small guests. Everything lives in a temporary folder and on loopback."""

import pathlib
import sys

import pytest

import support

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from limit import pytest_configure  # noqa: E402, F401


@pytest.fixture
def folder(tmp_path_factory):
    """Short enough for unix sockets (108 bytes)."""
    import shutil
    import tempfile

    path = pathlib.Path(tempfile.mkdtemp(prefix="otr-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def nginx(folder):
    server = support.Nginx(folder / "nginx")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def agents(folder):
    """A factory: agents(plugins=[…], **settings) starts one; all are ended afterwards."""
    made = []

    def make(start=True, name=None, **options):
        agent = support.Agent(folder / (name or f"agent{len(made)}"), **options)
        made.append(agent)
        if start:
            agent.start()
        return agent

    yield make
    for agent in made:
        agent.cleanup()
