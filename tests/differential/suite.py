"""What the tests of all ABIs share: sides, the list of differences, and one case against both engines."""

import os
import pathlib
import re
import sys

import compare
import drive
import peers
import pytest
import wat

HERE = pathlib.Path(__file__).resolve().parent
LIST = HERE.parents[1] / "docs" / "abi" / "differences.md"
ENGINES = ("wasmtime", "wasmi")
ENDED = ("trap", "timeout", "memory", "exit", "died", "hung")


def rows(abi):
    """The ids that docs/abi/differences.md lists for an ABI."""
    table = [re.split(r"(?<!\\)\|", line)[1:-1] for line in LIST.read_text().splitlines() if line.startswith("| `")]
    assert all(len(cells) == 5 for cells in table), "each row has five cells"
    found = [cells[0].strip(" `") for cells in table if cells[1].strip() == abi]
    assert len(set(found)) == len(found), "an id is there twice"
    return set(found)


def reference(name):
    """The command of a peer and its environment; skips when it cannot be had, but not in CI."""
    try:
        made = peers.MAKERS[name]()
    except peers.Unavailable as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {name}: {why}")
    if name == "wapc":
        return drive.Side(name, [made])
    env = {**os.environ, "PYTHONPATH": str(made), "RUST_BACKTRACE": "0", "WASMTIME_BACKTRACE_DETAILS": "0"}
    return drive.Side(name, [sys.executable, HERE / f"{name}_peer.py"], env)


def ours(engines):
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}
    return [drive.Side(engine, [os.environ["OTR_DIFFERENTIAL"], engine], env) for engine in engines]


class Suite:
    def __init__(self, abi, peer, folder, engines=ENGINES):
        self.abi, self.peer, self.sides, self.folder = abi, reference(peer), ours(engines), folder
        self.listed = rows(abi)

    def load(self, case, path):
        theirs = self.peer.load(path, **{key: value for key, value in case.options.items() if key != "abi"})
        return theirs, [side.load(path, **case.options) for side in self.sides]

    def begin_anew(self, case, path):
        sides = (self.peer, *self.sides)
        if any(side.process is None for side in sides):
            self.load(case, path)
        else:
            for side in sides:
                side.fresh()

    def steps(self, case, path):
        """Yields what was asked, the peer's answer and ours. When a guest ends anywhere, all begin anew, unless the
        case is about what follows."""
        theirs, answers = self.load(case, path)
        yield "load", theirs, answers
        if theirs.kind == "load" or any(answer.kind == "load" for answer in answers):
            return
        for operation, data in case.steps:
            theirs = self.peer.call(operation, data)
            answers = [side.call(operation, data) for side in self.sides]
            yield f"{operation} {data[:40]!r}", theirs, answers
            if any(answer.kind in ENDED for answer in (theirs, *answers)) and not case.goes_on:
                self.begin_anew(case, path)

    def differences(self, case, path=None):
        """{engine: [what differs]}"""
        path = path or wat.build(case.text, self.folder, "guest")
        found = {}
        for step, theirs, answers in self.steps(case, path):
            for side, answer in zip(self.sides, answers):
                what = compare.difference(answer, theirs, case.logs)
                if what:
                    found.setdefault(side.name, []).append(f"{step}: {what}")
        return found

    def check(self, case, path=None):
        found = self.differences(case, path)
        told = "\n".join(f"{engine}: {what}" for engine, found_here in found.items() for what in found_here)
        if not case.differs:
            assert not found, f"{case.name}\n{told}\n(mend it, or list it in docs/abi/differences.md)"
            return
        assert case.differs in self.listed, f"{case.name}: {case.differs} is not in docs/abi/differences.md"
        gone = [side.name for side in self.sides if side.name not in found]
        assert not gone, f"{case.name}: {case.differs} no longer differs on {gone}: take it off docs/abi/differences.md"

    def close(self):
        assert all(side.close() == 0 for side in self.sides)
        self.peer.close()


def check_list(abi, cases):
    """Every row has a case, every case's difference has a row."""
    used = {case.differs for case in cases if case.differs}
    assert used == rows(abi)
