"""What the keys for guests of other hosts cost, and that they cost the others nothing."""

from harness import Row

RUNS = 3


def run(bench):
    program = bench.binary("bench_mapping")

    def least(name):
        return min(bench.figure([program], rf"^{name} ([0-9.]+)$", one_core=True) for _ in range(RUNS))

    alone = least("direct")
    yield Row(name="a message to a guest without mapping, beyond its envelope", ours=max(0.0, least("unmapped") - alone),
              unit="ns", lower_is_better=True, at_most=5)
    for name, label in (("data", "input: data"), ("field", "input: a path into 400 bytes"), ("publish", "publish:")):
        yield Row(name=f"a message with {label}", ours=least(name), unit="ns", lower_is_better=True)
