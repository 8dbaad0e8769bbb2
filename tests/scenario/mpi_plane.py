"""A management plane of our own making on Python's gRPC: it records what an agent says and sends what a test wants."""

import os
import pathlib
import queue
import sys
import threading
from concurrent import futures

import grpc

from support import wait_for

sys.path.insert(0, str(pathlib.Path(os.environ["OTR_BUILD"]) / "tests" / "interop" / "python"))
from mpi.v1 import command_pb2 as command  # noqa: E402
from mpi.v1 import common_pb2 as common  # noqa: E402

OK = common.CommandResponse.COMMAND_STATUS_OK
FAILURE = common.CommandResponse.COMMAND_STATUS_FAILURE


class Plane:
    """calls: (method, message, metadata) in order; answers: DataPlaneResponses; refuse[method] = status to end with."""

    def __init__(self, address="127.0.0.1:0", credentials=None):
        self.lock = threading.Condition()
        self.calls, self.answers, self.streams = [], [], []
        self.refuse = {}
        self.most_streams = 0
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        self.server.add_generic_rpc_handlers([self.handlers()])
        if credentials:
            self.port = self.server.add_secure_port(address, credentials)
        else:
            self.port = self.server.add_insecure_port(address)
        assert self.port, f"cannot listen at {address}"
        self.server.start()

    def handlers(self):
        rpcs = {}
        for name in ("CreateConnection", "UpdateDataPlaneStatus", "UpdateDataPlaneHealth"):
            rpcs[name] = grpc.unary_unary_rpc_method_handler(
                lambda request, context, name=name: self.unary(name, request, context),
                request_deserializer=getattr(command, name + "Request").FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        rpcs["Subscribe"] = grpc.stream_stream_rpc_method_handler(
            self.subscribe,
            request_deserializer=command.DataPlaneResponse.FromString,
            response_serializer=lambda wire: wire,
        )
        return grpc.method_handlers_generic_handler("mpi.v1.CommandService", rpcs)

    def note(self, name, message, context):
        with self.lock:
            self.calls.append((name, message, dict(context.invocation_metadata())))
            self.lock.notify_all()

    def unary(self, name, request, context):
        self.note(name, request, context)
        if self.refuse.get(name):
            context.abort(self.refuse[name], f"{name} is refused by the test")
        answer = getattr(command, name + "Response")()
        if name == "CreateConnection":
            answer.response.status = OK
        return answer

    def subscribe(self, answers, context):
        self.note("Subscribe", None, context)
        stream = queue.Queue()
        with self.lock:
            self.streams.append(stream)
            self.most_streams = max(self.most_streams, len(self.streams))

        def read():
            try:
                for answer in answers:
                    with self.lock:
                        self.answers.append(answer)
            except grpc.RpcError:
                pass
            stream.put(None)

        def ended():
            with self.lock:
                self.streams.remove(stream)
            stream.put(None)

        context.add_callback(ended)
        threading.Thread(target=read, daemon=True).start()
        while True:
            wire = stream.get()
            if wire is None:
                return
            yield wire

    def send(self, request, extra=b""):
        """`extra`: bytes behind the message, as fields that nobody knows."""
        wire = request if isinstance(request, bytes) else request.SerializeToString()
        with self.lock:
            self.streams[-1].put(wire + extra)

    def drop(self):
        """Ends the stream; the connection stays."""
        with self.lock:
            self.streams[-1].put(None)

    def seen(self, name):
        with self.lock:
            return [(message, metadata) for called, message, metadata in self.calls if called == name]

    def wait_call(self, name, good=lambda message: True):
        wait_for(lambda: any(good(message) for message, _ in self.seen(name)), f"the agent calls {name}")
        return [message for message, _ in self.seen(name) if good(message)][-1]

    def wait_stream(self):
        wait_for(lambda: self.streams, "the agent subscribes")

    def to(self, correlation):
        with self.lock:
            return [a for a in self.answers if a.message_meta.correlation_id == correlation]

    def wait_answer(self, correlation):
        wait_for(lambda: self.to(correlation), f"the agent answers {correlation}")
        return self.to(correlation)[0]

    def stop(self):
        self.server.stop(0).wait()


def request(kind, correlation):
    """An empty request of this kind: its message and what it holds."""
    made = command.ManagementPlaneRequest()
    made.message_meta.message_id = "m1"
    made.message_meta.correlation_id = correlation
    getattr(made, kind).SetInParent()
    return made
