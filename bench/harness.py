"""What the suites of bench/ share: rows of the table, our binaries, peers and pinned runs."""

import dataclasses
import os
import re
import shutil
import subprocess


class Unavailable(Exception):
    """Something cannot be measured here; the text says why."""


def number(value):
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


@dataclasses.dataclass
class Row:
    """One line of the table. Ratio is how many times better ours is than the peer.

    at_least and at_most bound our own figure, ratio_at_least the ratio; any may be None. `peer` is
    a figure, or the Unavailable that kept it from being one, or None when there is no peer.
    """

    name: str
    ours: float | None
    peer: float | Unavailable | None = None
    unit: str = ""
    lower_is_better: bool = False
    at_least: float | None = None
    at_most: float | None = None
    ratio_at_least: float | None = None
    note: str = ""

    def ratio(self):
        if not self.ours or not isinstance(self.peer, (int, float)) or not self.peer:
            return None
        return self.peer / self.ours if self.lower_is_better else self.ours / self.peer

    def ours_text(self):
        return f"{number(self.ours)} {self.unit}".strip()

    def target_text(self):
        parts = []
        if self.at_least is not None:
            parts.append(f">= {number(self.at_least)} {self.unit}")
        if self.at_most is not None:
            parts.append(f"<= {number(self.at_most)} {self.unit}")
        if self.ratio_at_least is not None:
            parts.append(f">= {number(self.ratio_at_least)}x")
        return ", ".join(parts) or "-"

    def ok(self):
        if self.ours is None:
            return "no"
        if self.at_least is not None and self.ours < self.at_least:
            return "no"
        if self.at_most is not None and self.ours > self.at_most:
            return "no"
        if self.ratio_at_least is not None:
            if self.ratio() is None:
                return "not measured"
            if self.ratio() < self.ratio_at_least:
                return "no"
        return "-" if self.target_text() == "-" else "yes"

    def cells(self):
        if isinstance(self.peer, Unavailable):
            peer = "not available"
        else:
            peer = "-" if self.peer is None else f"{number(self.peer)} {self.unit}".strip()
        ratio = "-" if self.ratio() is None else f"{number(self.ratio())}x"
        return [self.name, self.ours_text(), peer, ratio, self.target_text(), self.ok()]

    def notes(self):
        if self.note:
            yield self.note
        if isinstance(self.peer, Unavailable):
            yield f"peer not available: {self.peer}"


class Bench:
    """Where things are and how they are run. One core means the highest one this process may use."""

    def __init__(self, top, build, with_peers=True):
        self.top = top
        self.build = build
        self.with_peers = with_peers
        self.peers = top.parent / "build" / "bench-peers"
        self.core = max(os.sched_getaffinity(0))
        self.known_peers = {}

    def binary(self, name):
        """Our program `name` from the release build."""
        for folder in (self.build / "bench", self.build):
            if (folder / name).is_file():
                return folder / name
        raise Unavailable(f"{name} is not in {self.build}: run 'tools/build release' first")

    def run(self, command, one_core=False, env=None, timeout=600):
        """Standard output of a command that must succeed."""
        command = [str(part) for part in command]
        if one_core:
            command = ["taskset", "-c", str(self.core), *command]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                  env={**os.environ, **(env or {})}, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(str(error)) from error
        if done.returncode != 0:
            tail = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise Unavailable(f"{command[0]} ended with {done.returncode}: {tail[0]}")
        return done.stdout

    def figure(self, command, pattern, **how):
        """The number that `pattern` (one group) finds in the command's output."""
        out = self.run(command, **how)
        found = re.search(pattern, out, re.MULTILINE)
        if not found:
            raise Unavailable(f"{command[0]} printed no figure: {out.strip()[:200]}")
        return float(found.group(1))

    def peer(self, name, build):
        """build() once; its result, or the Unavailable that it raised, every time."""
        if not self.with_peers:
            return Unavailable("only builds of ours are compared")
        if name not in self.known_peers:
            try:
                self.known_peers[name] = build()
            except Unavailable as why:
                self.known_peers[name] = why
        return self.known_peers[name]

    def go_peer(self, name):
        """Path of bench/peers/<name>, built with Go, or an Unavailable."""

        def build():
            go = shutil.which("go") or "/usr/local/go/bin/go"
            if not os.path.exists(go):
                raise Unavailable("no Go compiler")
            self.peers.mkdir(parents=True, exist_ok=True)
            program = self.peers / name
            self.run([go, "-C", self.top / "peers" / name, "build", "-trimpath", "-o", program, "."])
            return program

        return self.peer(name, build)

    def peer_figure(self, program, arguments, pattern, **how):
        """As figure(), but a peer that cannot be had or fails gives an Unavailable as the value."""
        if isinstance(program, Unavailable):
            return program
        try:
            return self.figure([program, *arguments], pattern, **how)
        except Unavailable as why:
            return why


@dataclasses.dataclass
class Pair:
    """One row of two builds of ours: the best of each over the rounds."""

    name: str
    unit: str
    lower_is_better: bool
    old: float | None = None
    new: float | None = None

    def take(self, which, figure):
        known = getattr(self, which)
        if figure is not None:
            best = min if self.lower_is_better else max
            setattr(self, which, figure if known is None else best(known, figure))

    def worse(self):
        """How many times worse the new one is: 1 is equal, None: one of the two is missing."""
        if not self.old or not self.new:
            return None
        return self.new / self.old if self.lower_is_better else self.old / self.new

    def cells(self):
        worse = self.worse()
        return [self.name, f"{number(self.old)} {self.unit}".strip(), f"{number(self.new)} {self.unit}".strip(),
                "-" if worse is None else f"{worse:.3f}"]
