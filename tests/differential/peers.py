"""The references, each of a pinned version, made once and kept under $XDG_CACHE_HOME/outrider/differential.

`python3 peers.py` makes all of them and says what cannot be had; it fails only when one is broken, not when there is no
network. The tests ask for one by name and skip with the same reason, but fail where CI is set: there it must be had."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "outrider" / "differential"
NO_NETWORK = (
    "Temporary failure in name resolution",
    "Could not resolve host",
    "Couldn't resolve host",
    "Network is unreachable",
    "Failed to establish a new connection",
    "Connection refused",
    "Connection timed out",
    "failed to connect",
    "Name or service not known",
)


class Unavailable(Exception):
    """Why a reference cannot be had here."""


def run(command, env=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is missing: run 'make deps'") from error
    if done.returncode != 0:
        said = done.stdout + done.stderr
        if any(sign in said for sign in NO_NETWORK):
            raise Unavailable(f"there is no network, and nothing is kept in {CACHE}")
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said[-4000:]}")
    return done.stdout


def kept(name, parts, make):
    """The folder `name`-<digest of `parts`>, filled by make(folder) the first time."""
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            work = pathlib.Path(tempfile.mkdtemp(prefix="work.", dir=CACHE))
            try:
                make(work)
                (work / "complete").touch()
                shutil.rmtree(folder, ignore_errors=True)
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            for old in CACHE.glob(f"{name}-*"):
                if old != folder:
                    shutil.rmtree(old, ignore_errors=True)
    return folder


def packages(name):
    """A folder for PYTHONPATH with what requirements-<name>.txt pins."""
    if os.uname().machine != "x86_64":
        raise Unavailable(f"{name} is pinned for x86_64 only")
    listed = HERE / f"requirements-{name}.txt"

    def make(folder):
        run([sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:",
             "--disable-pip-version-check", "--root-user-action=ignore", "--target", folder, "-r", listed])  # fmt: skip

    return kept(name, [listed.read_bytes(), sys.version.encode()], make)


def wapc():
    """The program made of wapc_peer/, by minutes of cargo."""
    source = HERE / "wapc_peer"
    version = run(["cargo", "-V"]).encode()
    files = [source / "Cargo.toml", source / "Cargo.lock", *sorted(source.glob("src/*.rs"))]

    def make(folder):
        run(["nice", "cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", source / "Cargo.toml"],
            {"CARGO_TARGET_DIR": str(folder / "target"), "RUSTFLAGS": ""})  # fmt: skip
        shutil.copy(folder / "target" / "release" / "wapc-peer", folder / "wapc-peer")
        shutil.rmtree(folder / "target")

    return kept("wapc", [version, *(file.read_bytes() for file in files)], make) / "wapc-peer"


MAKERS = {"extism": lambda: packages("extism"), "wasmtime": lambda: packages("wasmtime"), "wapc": wapc}


def main():
    for name, make in MAKERS.items():
        try:
            make()
        except Unavailable as why:
            print(f"tests/differential: no {name}: {why}")


if __name__ == "__main__":
    main()
