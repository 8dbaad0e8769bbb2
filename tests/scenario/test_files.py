"""A plugin uses the folders that its grants name, and no others, the same on both engines."""

import pytest
import support
from support import entry, wait_for

GUEST = support.BUILD / "tests" / "guests" / "files-extism.wasm"


@pytest.fixture
def places(folder):
    for name in ("rw", "ro", "out"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(f"in {name}")
    (folder / "rw" / "away").symlink_to("../out")
    return folder


def grants(places, **more):
    paths = [
        {"host": str(places / "rw"), "guest": "/data", "write": True},
        {"host": str(places / "ro"), "guest": "/static"},
    ]
    return {"paths": paths, **more}


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_a_plugin_works_in_its_folders(places, agents, engine):
    plugin = entry(GUEST, name="files", engine=engine, grants=grants(places, env=["GRANTED"]), limits={"init": "60s"})
    agent = agents(plugins=[plugin], env={"GRANTED": "a value"})
    agent.wait_plugin("files", "running", 60)
    wait_for(lambda: "done with a value" in agent.text(), "the log says so")
    assert (places / "ro" / "file").read_text() == "in ro"
    assert (places / "out" / "file").read_text() == "in out"
    assert sorted(p.name for p in (places / "rw").iterdir()) == ["away", "file"]


@pytest.mark.parametrize("engine", ["wasmtime", "wasmi"])
def test_a_missing_folder_is_named(places, agents, engine):
    (places / "ro" / "file").unlink()
    (places / "ro").rmdir()
    plugin = entry(GUEST, name="files", engine=engine, grants=grants(places), on_failure="disable")
    agent = agents(plugins=[plugin])
    seen = agent.wait_plugin("files", "disabled")
    assert f"folder {places / 'ro'} cannot be opened" in seen["reason"]
