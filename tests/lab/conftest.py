"""The fixture `lab`: a private machine, clean at the start of each test. See lab.py."""

import pathlib
import sys

import pytest

import lab as laboratory

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from limit import pytest_configure  # noqa: E402, F401


@pytest.fixture
def lab(tmp_path_factory):
    machine = laboratory.Lab()
    yield machine
    machine.close()
