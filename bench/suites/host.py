"""A host operation as a guest pays for it: publish, granted, to a bus where nobody listens."""

from harness import Row

RUNS = 5


def run(bench):
    program = bench.binary("bench_host")
    for abi in ("extism", "wapc", "wit"):
        for name, label, most in (("publish", "", 200), ("delivered", " and its delivery", None)):
            best = min(bench.figure([program, abi], rf"{name} ([0-9.]+) ns", one_core=True)
                       for _ in range(RUNS))
            yield Row(name=f"host call: publish{label}, {abi}", ours=best, unit="ns",
                      lower_is_better=True, at_most=most)
