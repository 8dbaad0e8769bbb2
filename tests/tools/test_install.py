"""`make install` puts our files below a prefix and leaves those of others alone."""

import os
import pathlib
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("OTR_BUILD", "build/dev"))


def install(prefix):
    done = subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_name_of_nginx_agent_leads_to_the_program(tmp_path):
    install(tmp_path)
    assert os.readlink(tmp_path / "bin/nginx-agent") == "outrider"
    assert (tmp_path / "bin/outrider").stat().st_mode & 0o111
    install(tmp_path)  # a second time is an upgrade
    assert os.readlink(tmp_path / "bin/nginx-agent") == "outrider"


@pytest.mark.parametrize("theirs", ["file", "link", "dangling"])
def test_what_others_installed_under_that_name_stays(tmp_path, theirs):
    name = tmp_path / "bin/nginx-agent"
    name.parent.mkdir()
    if theirs == "file":
        name.write_text("theirs")
    else:
        (name.parent / "other").write_text("theirs")
        name.symlink_to("other" if theirs == "link" else "gone")
    said = install(tmp_path)
    assert "is not ours and stays" in said
    assert theirs == "dangling" or name.read_text() == "theirs"
    assert theirs == "file" or os.readlink(name) in ("other", "gone")
