"""Echo through an Extism guest, beside libextism from its Python wheel: same guest, same run."""

import sys

from harness import Row, Unavailable

FIGURE = r"([0-9.]+) ns"
# bytes, how many times faster than libextism
SIZES = (("16 B", 16, 100), ("1 KB", 1024, 15), ("64 KB", 65536, 4), ("1 MB", 1 << 20, 3),
         ("16 MB", 16 << 20, 3))
WAYS = (("", ["rewritten"]), (", old bytes kept", ["rewritten", "keep"]),
        (", kernel only", ["kernel"]))
RUNS = 4  # of each, in turn: other work on the machine hits both


def libextism(bench):
    """The shared library inside the wheel, in a virtual environment under build/."""
    venv = bench.peers / "extism-venv"
    if not list(venv.glob("lib/*/site-packages/extism_sys/*.so")):
        bench.peers.mkdir(parents=True, exist_ok=True)
        bench.run([sys.executable, "-m", "venv", venv])
        bench.run([venv / "bin" / "pip", "install", "--quiet", "extism-sys==1.41.0"])
    found = list(venv.glob("lib/*/site-packages/extism_sys/*.so"))
    if not found:
        raise Unavailable("extism-sys has no library for this machine")
    return found[0]


def build_guest(bench):
    bench.peers.mkdir(parents=True, exist_ok=True)
    guest = bench.peers / "extism-echo.wasm"
    bench.run(["clang", "--target=wasm32", "-O2", "-nostdlib", "-ffreestanding", "-Wl,--no-entry",
               "-Wl,--strip-all", "-o", guest, bench.top / "peers" / "extism" / "echo_guest.c"])
    return guest


def build_host(bench):
    program = bench.peers / "extism-echo-host"
    library = libextism(bench)
    bench.run(["cc", "-O2", "-o", program, bench.top / "peers" / "extism" / "echo_host.c", "-ldl"])
    return program, library


def run(bench):
    ours = bench.binary("bench_echo")
    guest = build_guest(bench)
    peer = bench.peer("extism", lambda: build_host(bench))
    for label, size, target in SIZES:
        best = {}
        for _ in range(RUNS):
            for name, how in WAYS:
                found = bench.figure([ours, guest, size, *how], FIGURE, one_core=True)
                best[name] = min(found, best.get(name, found))
            if not isinstance(peer, Unavailable):
                program, library = peer
                found = bench.peer_figure(program, [library, guest, size], FIGURE, one_core=True)
                if isinstance(found, Unavailable):
                    peer = found
                else:
                    best["peer"] = min(found, best.get("peer", found))
        for name, _ in WAYS:
            yield Row(name=f"extism echo {label}{name}", ours=best[name],
                      peer=best.get("peer", peer), unit="ns", lower_is_better=True,
                      ratio_at_least=target if name == "" else None)
