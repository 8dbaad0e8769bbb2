"""Changed files of plugins are loaded by themselves; broken and half-written ones do no harm."""

import os
import shutil
import subprocess
import time

import pytest

from support import cli, entry, extism_guest, publish_code, wait_for, write_guest


def text(version):
    info = '{"name":"t","version":"%s","api":"1"}' % version
    return extism_guest(info=info, process="(call $say)", functions=publish_code("test.v", f'"{version}"'))


def runs(agent, version):
    wait_for(
        lambda: (p := agent.plugin("p")) and p["version"] == version and p["state"] == "running",
        lambda: f"version {version} runs, but {agent.plugin('p')}\n{agent.text()[-2000:]}",
    )


@pytest.fixture
def place(folder):
    (folder / "plugins").mkdir()
    return folder / "plugins"


@pytest.fixture
def agent(place, agents):
    write_guest(place, "p", text("1.0.0"))
    made = agents(plugins=[entry(place / "p.wat")])
    runs(made, "1.0.0")
    return made


def test_a_file_replaced_by_a_rename_is_loaded(place, agent):
    write_guest(place, "new", text("2.0.0"))
    os.rename(place / "new.wat", place / "p.wat")
    runs(agent, "2.0.0")
    assert agent.plugin("p")["restarts"] == 0


def test_a_file_written_in_two_steps_is_loaded_whole(place, agent):
    whole = text("2.0.0")
    with open(place / "p.wat", "w") as f:
        f.write(whole[: len(whole) // 2])
        f.flush()
        # Long enough for the half to be tried, and refused.
        wait_for(lambda: "keeping the old one" in agent.text(), "the half is refused")
        assert agent.plugin("p")["state"] == "running" and agent.plugin("p")["version"] == "1.0.0"
        f.write(whole[len(whole) // 2 :])
    runs(agent, "2.0.0")
    assert agent.plugin("p")["reason"] == ""


def test_a_file_that_is_removed_and_made_again_is_loaded(place, agent):
    (place / "p.wat").unlink()
    time.sleep(0.5)
    assert agent.plugin("p")["state"] == "running"
    write_guest(place, "p", text("2.0.0"))
    runs(agent, "2.0.0")


def test_a_folder_that_is_removed_and_made_again_is_watched_again(place, agent):
    shutil.rmtree(place)
    time.sleep(0.3)
    write_guest(place, "p", text("2.0.0"))
    runs(agent, "2.0.0")
    write_guest(place, "p", text("3.0.0"))
    runs(agent, "3.0.0")


def test_a_broken_file_keeps_the_old_version(place, agent):
    write_guest(place, "p", "(module)")
    wait_for(lambda: "ABI" in agent.plugin("p")["reason"], "the reason is shown")
    assert agent.plugin("p")["state"] == "running" and agent.plugin("p")["version"] == "1.0.0"
    write_guest(place, "p", text("2.0.0"))
    runs(agent, "2.0.0")


def test_twenty_quick_replacements_end_with_the_newest(place, agent):
    for n in range(20):
        write_guest(place, "new", text(f"2.0.{n}"))
        os.rename(place / "new.wat", place / "p.wat")
        time.sleep(0.03)
    runs(agent, "2.0.19")


def test_a_link_that_is_swapped_is_followed(folder, place, agents):
    """As Kubernetes mounts a ConfigMap: p.wat -> ..data/p.wat, ..data -> v1."""
    for n in ("1", "2"):
        write_guest(place / f"v{n}", "p", text(f"{n}.0.0"))
    (place / "..data").symlink_to("v1")
    (place / "p.wat").symlink_to("..data/p.wat")
    agent = agents(plugins=[entry(place / "p.wat")])
    runs(agent, "1.0.0")
    (place / "..tmp").symlink_to("v2")
    os.rename(place / "..tmp", place / "..data")
    runs(agent, "2.0.0")


def test_a_signature_that_comes_after_its_file_makes_it_good(folder, place, agents):
    if shutil.which("minisign") is None:
        pytest.skip("there is no program minisign")
    pub, key = folder / "a.pub", folder / "a.key"
    subprocess.run(["minisign", "-G", "-W", "-p", pub, "-s", key], check=True, stdout=subprocess.DEVNULL)

    def sign(file):
        subprocess.run(["minisign", "-S", "-s", key, "-m", file, "-x", place / "p.wat.minisig"], check=True,
                       stdout=subprocess.DEVNULL)

    sign(write_guest(place, "p", text("1.0.0")))
    section = {
        "directory": str(place),
        "cache": str(folder / "cache"),
        "trust": {"require": "signature", "keys": [str(pub)]},
        "load": [entry(place / "p.wat")],
    }
    agent = agents(config={"plugins": section})
    runs(agent, "1.0.0")
    write_guest(place, "p", text("2.0.0"))
    wait_for(lambda: "not the one that was signed" in agent.plugin("p")["reason"], "it is not signed yet")
    assert agent.plugin("p")["version"] == "1.0.0"
    sign(place / "p.wat")
    runs(agent, "2.0.0")


def test_a_file_that_was_missing_at_the_start_is_loaded_when_it_comes(place, agents):
    agent = agents(plugins=[entry(place / "p.wat")])
    agent.wait_plugin("p", "disabled")
    write_guest(place, "p", text("1.0.0"))
    runs(agent, "1.0.0")


def test_a_plugin_that_an_operator_switched_off_stays_off(place, agent):
    assert cli("plugin", "disable", "p", "--socket", agent.socket)[0] == 0
    write_guest(place, "p", text("2.0.0"))
    time.sleep(1)
    assert agent.plugin("p")["state"] == "disabled"
    assert cli("plugin", "enable", "p", "--socket", agent.socket)[0] == 0
    runs(agent, "2.0.0")


def test_watching_can_be_switched_off(folder, place, agents):
    write_guest(place, "p", text("1.0.0"))
    load = [entry(place / "p.wat")]
    section = {"directory": str(place), "cache": str(folder / "cache"), "watch": False, "load": load}
    agent = agents(config={"plugins": section})
    runs(agent, "1.0.0")
    write_guest(place, "p", text("2.0.0"))
    time.sleep(1)
    assert agent.plugin("p")["version"] == "1.0.0"
    assert cli("plugin", "reload", "p", "--socket", agent.socket)[0] == 0
    runs(agent, "2.0.0")
