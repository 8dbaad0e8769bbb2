"""Echo of a list<u8> through a WIT component, beside a memcpy of the same bytes in and out."""

from harness import Row

FIGURE = r"([0-9.]+) ns"
# bytes, ns at most, ratio to memcpy at least
SIZES = (("16 B", 16, 150, None), ("1 KB", 1024, None, None), ("64 KB", 65536, None, None),
         ("1 MB", 1 << 20, None, 1 / 1.2), ("16 MB", 16 << 20, None, 1 / 1.2))


def run(bench):
    program = bench.binary("bench_wit")
    for label, size, most, ratio in SIZES:
        yield Row(name=f"wit echo {label} (peer: memcpy in, out)",
                  ours=bench.figure([program, "call", size], FIGURE, one_core=True),
                  peer=bench.figure([program, "memcpy", size], FIGURE, one_core=True), unit="ns",
                  lower_is_better=True, at_most=most, ratio_at_least=ratio)
