#!/usr/bin/python3
"""grpcio with the arguments of bench_rpc: bytes as they are, no protobuf."""

import sys
import threading
import time
from concurrent import futures

import grpc

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(lambda requests, context: requests)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(64), options=OPTIONS)
    server.add_generic_rpc_handlers((Echo(),))
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0).wait()


def unary(channel, calls, at_once):
    call = channel.unary_unary("/b.B/Echo")
    left = threading.Semaphore(at_once)
    begin = time.monotonic()
    for _ in range(calls):
        left.acquire()
        call.future(bytes(100)).add_done_callback(lambda done: left.release())
    for _ in range(at_once):
        left.acquire()
    print(f"{calls / (time.monotonic() - begin):.0f} calls/s")


def stream(channel, messages, size):
    begin = time.monotonic()
    total = sum(map(len, channel.stream_stream("/b.B/Echo")(bytes(size) for _ in range(messages))))
    print(f"{total / 1e6 / (time.monotonic() - begin):.1f} MB/s")


def main():
    if sys.argv[1] == "server":
        serve()
        return
    with grpc.insecure_channel(sys.argv[2], options=OPTIONS) as channel:
        {"unary": unary, "stream": stream}[sys.argv[1]](channel, int(sys.argv[3]), int(sys.argv[4]))


main()
