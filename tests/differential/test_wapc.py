"""The same guests here and in waPC's own host: families made by hand, the real kits, random programs."""

import os
import random

import cases_wapc
import generate
import pytest
import suite

CASES = cases_wapc.cases()
PROGRAMS = int(os.environ.get("OTR_DIFFERENTIAL_PROGRAMS", "200"))  # each a guest of its own
FIRST = int(os.environ.get("OTR_DIFFERENTIAL_SEED", "0"))
STEP = 20


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    one = suite.Suite("wapc", "wapc", str(tmp_path_factory.mktemp("guests")))
    yield one
    one.close()


def test_the_list_has_what_differs():
    suite.check_list("wapc", CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_guest_answers_the_same(both, case):
    both.check(case)


@pytest.mark.parametrize("first", range(FIRST, FIRST + PROGRAMS, STEP))
def test_random_programs_answer_the_same(both, first):
    for seed in range(first, min(first + STEP, FIRST + PROGRAMS)):
        both.check(generate.wapc(seed, random.Random(seed)))


# Not Go's, which need _initialize: row wapc-initialize.
@pytest.mark.parametrize("kit", ("c", "rust", "as", "zig"))
def test_a_kit_answers_the_same(both, kit):
    path = os.path.join(os.environ["OTR_GUESTS"], f"{kit}-wapc.wasm")
    if not os.path.exists(path):
        pytest.skip(f"{kit}-wapc.wasm is not built: see OTR_GUESTS in tests/guests")
    both.check(cases_wapc.kit(kit), path)
