"""gRPC over one connection: our client and server, beside grpc-go's and grpcio's pair, in one run."""

import contextlib
import subprocess

from harness import Row, Unavailable

MESSAGE = 16 << 20


@contextlib.contextmanager
def server(program):
    with subprocess.Popen([program, "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()


def pair(bench, program, kind, *arguments):
    """The figure of a client of `program` with a server of it."""
    if isinstance(program, Unavailable):
        return program
    try:
        with server(program) as address:
            if not address:
                raise Unavailable(f"{program} does not serve")
            return bench.figure([program, kind, address, *arguments], r"([0-9.]+) (?:calls|MB)/s")
    except (OSError, Unavailable) as why:
        return why if isinstance(why, Unavailable) else Unavailable(str(why))


def run(bench):
    ours = bench.binary("bench_rpc")
    peers = {"grpc-go": bench.go_peer("rpc-go"),
             "grpcio": bench.peer("rpc-grpcio", lambda: bench.top / "peers" / "rpc-grpcio" / "main.py")}
    for name, kind, unit, mine, theirs in (
            ("64 calls at once", "unary", "calls/s", (200000, 64), {"grpc-go": (100000, 64), "grpcio": (5000, 64)}),
            ("one call after the other", "unary", "calls/s", (20000, 1), {"grpc-go": (10000, 1), "grpcio": (2000, 1)}),
            ("16 MB messages, echoed", "stream", "MB/s", (60, MESSAGE), {"grpc-go": (40, MESSAGE), "grpcio": (20, MESSAGE)})):
        figure = pair(bench, ours, kind, *mine)
        if isinstance(figure, Unavailable):
            raise figure
        for peer, program in peers.items():
            yield Row(name=f"rpc: {name}, {peer}", ours=figure, peer=pair(bench, program, kind, *theirs[peer]),
                      unit=unit, ratio_at_least=1)
