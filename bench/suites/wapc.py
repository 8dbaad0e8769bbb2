"""Echo through a waPC guest, beside wapc-go on its wazero engine: same guest, same run."""

from harness import Row, Unavailable

FIGURE = r"([0-9.]+) ns"
# bytes, ns at most
SIZES = (("16 B", 16, 60), ("1 KB", 1024, None), ("64 KB", 65536, None), ("1 MB", 1 << 20, None),
         ("16 MB", 16 << 20, None))
RUNS = 4  # of each, in turn: other work on the machine hits both


def build_guest(bench):
    bench.peers.mkdir(parents=True, exist_ok=True)
    guest = bench.peers / "wapc-echo.wasm"
    bench.run(["clang", "--target=wasm32", "-O2", "-nostdlib", "-ffreestanding", "-Wl,--no-entry",
               "-Wl,--strip-all", "-o", guest, bench.top / "peers" / "wapc" / "echo_guest.c"])
    return guest


def least(values):
    return next((v for v in values if isinstance(v, Unavailable)), None) or min(values)


def run(bench):
    ours = bench.binary("bench_echo")
    guest = build_guest(bench)
    peer = bench.go_peer("wapc-go")
    for label, size, most in SIZES:
        mine, copied, viewed = [], [], []
        for _ in range(RUNS):
            mine.append(bench.figure([ours, guest, size], FIGURE, one_core=True))
            for figures, how in ((copied, []), (viewed, ["view"])):
                figures.append(bench.peer_figure(peer, ["wazero", guest, size, *how], FIGURE,
                                                 one_core=True))
        yield Row(name=f"wapc echo {label}", ours=min(mine), peer=least(copied), unit="ns",
                  lower_is_better=True, at_most=most, ratio_at_least=1)
        yield Row(name=f"wapc echo {label} (peer: its answer not copied)", ours=min(mine),
                  peer=least(viewed), unit="ns", lower_is_better=True)
