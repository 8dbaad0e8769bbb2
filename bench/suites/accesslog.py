"""The status scanner of access logs on one core. NGINX Agent v3 was measured at 5,198 lines/s
(1.0 MB/s) with the combined format; its receiver cannot be run apart from the whole collector."""

from harness import Row

FIGURE = r"([0-9.]+) GB/s"


def run(bench):
    ours = bench.binary("bench_accesslog")
    for shape, target in (("combined", 1), ("json", 1), ("ltsv", None)):
        yield Row(
            name=f"access log, {shape}",
            ours=bench.figure([ours, shape], FIGURE, one_core=True),
            unit="GB/s",
            at_least=target,
        )
