"""The bus, one publisher on one core, beside the bus module of NGINX Agent v3 on the same core."""

from harness import Row

FIGURE = r"([0-9.]+) M msg/s"


def run(bench):
    ours = bench.binary("bench_bus")
    peer = bench.go_peer("bus-go")
    for subscribers, target, peer_messages in ((1, 10, 500000), (10, 3, 100000)):
        yield Row(
            name=f"bus 1 -> {subscribers}",
            ours=bench.figure([ours, subscribers], FIGURE, one_core=True),
            peer=bench.peer_figure(peer, [subscribers, peer_messages], FIGURE, one_core=True,
                                   env={"GOMAXPROCS": "1"}),
            unit="M msg/s",
            at_least=target,
        )
