"""The guests of tests/guests for suites that run them: C ones by clang, the others by tests/guests/build."""

import os

from harness import Unavailable

C = {
    "c-extism": ("guest.c", []),
    "c-wapc": ("guest.c", ["-DGUEST_WAPC"]),
    "pace": ("pace.c", []),
}


def clang(bench, out, source, flags):
    sdk = bench.top.parent / "sdk"
    bench.run(["clang", "--target=wasm32", "-std=c11", "-O2", "-nostdlib", "-ffreestanding", "-I", sdk,
               "-Wl,--no-entry,--stack-first,--strip-debug", *flags, "-o", out, source])


def conformance(bench, kinds=("rust", "assemblyscript", "zig", "go", "wit")):
    """Folder with the conformance guests. `kinds` beside C; one that cannot be built is an Unavailable."""
    folder = bench.peers / "guests"
    folder.mkdir(parents=True, exist_ok=True)
    source = bench.top.parent / "tests" / "guests"
    for name, (file, flags) in C.items():
        clang(bench, folder / f"{name}.wasm", source / "c" / file, flags)
    for kind in kinds:
        bench.run([source / "build", kind, folder], timeout=1800)
    return folder


def hostile(bench):
    """Folder with the hostile corpus."""
    folder = bench.peers / "hostile"
    source = bench.top.parent / "tests" / "guests" / "hostile"
    bench.run(["python3", source / "build.py", "--wat2wasm", "wat2wasm", "--clang", "clang",
               "--sdk", bench.top.parent / "sdk", folder])
    if not os.path.exists(folder / "index.txt"):
        raise Unavailable(f"no corpus in {folder}")
    return folder
