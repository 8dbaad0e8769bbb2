"""The fixture `lab`: a private machine, clean at the start of each test. See lab.py."""

import pytest

import lab as laboratory


@pytest.fixture
def lab(tmp_path_factory):
    machine = laboratory.Lab()
    yield machine
    machine.close()
