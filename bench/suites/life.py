"""What a plugin's life costs: compile, cache, instance, memory, and the end of a runaway call."""

import shutil

from harness import Row

ABIS = ("extism", "wapc", "wit")
# what the guest does, what it is called here, ms at most
RUNAWAYS = (("loop", "an empty loop", 5), ("host", "a flood of host calls", 5),
            ("wit", "an empty loop, WIT", 5),
            ("filled", "memory.fill of 64 MiB touched before", 5),
            ("fill", "memory.fill of 64 MiB of fresh memory", None))


def figure(program, bench, name, *what):
    return bench.figure([program, *what], rf"^{name} ([0-9.]+)")


def run(bench):
    program = bench.binary("bench_life")
    for abi in ABIS:
        yield Row(name=f"instance of compiled code, {abi}", unit="us", lower_is_better=True,
                  ours=figure(program, bench, "new", "instance", abi), at_most=20)
    folder = bench.peers / "life-cache"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    yield Row(name="10 plugins from the code cache", unit="ms", lower_is_better=True,
              ours=figure(program, bench, "ten", "cached", folder), at_most=10)
    for abi in ABIS:
        yield Row(name=f"1,000 instances, {abi}", unit="MB", lower_is_better=True,
                  ours=figure(program, bench, "thousand", "thousand", abi), at_most=40)
    for kind, label, most in RUNAWAYS:
        out = bench.run([program, "stop", kind])
        figures = dict(line.split()[:2] for line in out.splitlines())
        yield Row(name=f"late end of {label}", unit="ms", lower_is_better=True,
                  ours=float(figures["most"]), at_most=most,
                  note=f"least {figures['least']}, median {figures['median']}, most shown; of 40")
    guest = bench.peers / "extism-echo.wasm"
    if guest.exists():
        yield Row(name="compile of a small Extism guest", unit="ms", lower_is_better=True,
                  ours=figure(program, bench, "compile", "compile", guest))
    yield Row(name="compile of 2,000 functions", unit="ns", lower_is_better=True,
              ours=bench.figure([bench.binary("bench_wasm"), folder],
                                r"2,000 functions, first +([0-9.]+) ns"))
