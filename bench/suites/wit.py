"""Echo of a list<u8> through a WIT component, beside a memcpy of the same bytes in and out."""

from harness import Row

FIGURE = r"([0-9.]+) ns"
# bytes, ns at most, ratio to memcpy at least
SIZES = (("16 B", 16, 150, None), ("1 KB", 1024, None, None), ("64 KB", 65536, None, None),
         ("1 MB", 1 << 20, None, 1 / 1.2), ("16 MB", 16 << 20, None, 1 / 1.2))
RUNS = 6  # of each, in turn: other work on the machine hits both


def run(bench):
    program = bench.binary("bench_wit")
    for label, size, most, ratio in SIZES:
        best = {}
        for _ in range(RUNS):
            for how in ("call", "memcpy"):
                found = bench.figure([program, how, size], FIGURE, one_core=True)
                best[how] = min(found, best.get(how, found))
        yield Row(name=f"wit echo {label} (peer: memcpy in, out)", ours=best["call"],
                  peer=best["memcpy"], unit="ns", lower_is_better=True, at_most=most,
                  ratio_at_least=ratio)
