"""The same components here and in Wasmtime itself, by its Python interface: made by hand, and those of the real kits."""

import hashlib
import os

import cases_components
import pytest
import suite

CASES = cases_components.cases()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    one = suite.Suite("wit", "wasmtime", str(tmp_path_factory.mktemp("guests")), engines=("wasmtime",))
    yield one
    one.close()


def test_the_list_has_what_differs():
    suite.check_list("wit", CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_component_answers_the_same(both, case):
    path = os.path.join(both.folder, hashlib.sha256(case.text.encode()).hexdigest()[:16] + ".wat")
    with open(path, "w", encoding="utf-8") as file:
        file.write(case.text)
    both.check(case, path)


@pytest.mark.parametrize("kit", ("c", "rust", "js"))
def test_a_kit_answers_the_same(both, kit):
    path = os.path.join(os.environ["OTR_GUESTS"], f"{kit}-wit.wasm")
    if not os.path.exists(path):
        pytest.skip(f"{kit}-wit.wasm is not built: see OTR_GUESTS in tests/guests")
    both.check(cases_components.kit(kit), path)
