"""`outrider plugin call` gives the answers that the driver of the other tests gives, on both engines."""

import os
import subprocess

import cases_extism
import cases_wapc
import drive
import pytest
import suite
import wat

EVERY = 7  # a process each: of the cases that are one call, need no options and ask no operation of the driver's
CASES = [
    case
    for case in cases_extism.cases() + cases_wapc.cases()
    if len(case.steps) == 1
    and not case.options
    and len(case.steps[0][1]) < 1000
    and "(call $__host_call" not in case.text
][::EVERY]


@pytest.fixture(scope="module", params=suite.ENGINES)
def side(request):
    one = drive.Side(request.param, [os.environ["OTR_DIFFERENTIAL"], request.param])
    yield one
    assert one.close() == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_command_answers_as_the_driver(side, case, tmp_path):
    path = wat.build(case.text, str(tmp_path), "guest")
    (operation, data), loaded = case.steps[0], side.load(path)
    wanted = side.call(operation, data) if loaded.kind == "ok" else loaded
    command = [os.environ["OUTRIDER"], "plugin", "call", path, operation, "--engine", side.name, "--input", "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=120)
    assert (done.returncode == 0) == (wanted.kind == "ok"), (done, str(wanted))
    if wanted.kind == "ok":
        assert done.stdout == wanted.data
    elif wanted.kind == "guest" and wanted.data.isascii() and wanted.data.decode().isprintable():
        assert wanted.data[:200] in done.stderr
