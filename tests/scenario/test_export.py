"""Metrics sent as OTLP over gRPC, received by an independent collector: grpcio with OpenTelemetry's own messages."""

import pathlib
import queue
import re
import sys
import time
from concurrent import futures

import grpc
import pytest
from support import wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))
import otlp_peer  # noqa: E402

otlp_peer.install()
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service  # noqa: E402

METHOD = "opentelemetry.proto.collector.metrics.v1.MetricsService"
NGINX = {  # name: kind, unit, number, attributes of its points
    "nginx.http.connection.count": ("gauge", "connections", "as_int", {"nginx.connections.outcome"}),
    "nginx.http.connections": ("sum+", "connections", "as_int", {"nginx.connections.outcome"}),
    "nginx.http.request.count": ("gauge", "requests", "as_int", set()),
    "nginx.http.requests": ("sum+", "requests", "as_int", set()),
    "nginx.http.response.count": ("gauge", "responses", "as_int", {"nginx.status_range"}),
}
BOTH = {"device", "direction"}
SPACE = {"device", "mode", "mountpoint", "type", "state"}
HOST = {
    "system.cpu.time": ("sum+", "s", "as_double", {"cpu", "state"}),
    "system.cpu.utilization": ("gauge", "1", "as_double", {"cpu", "state"}),
    "system.cpu.logical.count": ("sum", "{cpu}", "as_int", set()),
    "system.memory.usage": ("sum", "By", "as_int", {"state"}),
    "system.memory.limit": ("sum", "By", "as_int", set()),
    "system.disk.io": ("sum+", "By", "as_int", BOTH),
    "system.disk.operations": ("sum+", "{operations}", "as_int", BOTH),
    "system.disk.merged": ("sum+", "{operations}", "as_int", BOTH),
    "system.disk.operation_time": ("sum+", "s", "as_double", BOTH),
    "system.disk.io_time": ("sum+", "s", "as_double", {"device"}),
    "system.disk.weighted_io_time": ("sum+", "s", "as_double", {"device"}),
    "system.disk.pending_operations": ("sum", "{operations}", "as_int", {"device"}),
    "system.filesystem.usage": ("sum", "By", "as_int", SPACE),
    "system.filesystem.inodes.usage": ("sum", "{inodes}", "as_int", SPACE),
    "system.network.io": ("sum+", "By", "as_int", BOTH),
    "system.network.packets": ("sum+", "{packets}", "as_int", BOTH),
    "system.network.errors": ("sum+", "{errors}", "as_int", BOTH),
    "system.network.dropped": ("sum+", "{packets}", "as_int", BOTH),
    "system.network.connections": ("sum", "{connections}", "as_int", {"protocol", "state"}),
}
SURE = {"system.cpu.logical.count", "system.memory.usage", "system.network.io"}  # of a container, too


class Collector:
    """Keeps what it is sent; `status` is what it answers instead of OK."""

    def __init__(self, port=0):
        self.got = queue.Queue()
        self.headers = queue.Queue()
        self.status = None
        self.answer = service.ExportMetricsServiceResponse()
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        handler = grpc.unary_unary_rpc_method_handler(
            self.export, request_deserializer=service.ExportMetricsServiceRequest.FromString,
            response_serializer=service.ExportMetricsServiceResponse.SerializeToString)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD, {"Export": handler}),))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()

    def export(self, request, context):
        if self.status is not None:
            context.abort(self.status, "not now")
        self.headers.put(dict(context.invocation_metadata()))
        self.got.put(request)
        return self.answer

    def metrics(self, names, timeout=60):
        """{name: (resource, scope, metric)} of the first request that has all of `names`."""
        end = time.monotonic() + timeout
        while True:
            request = self.got.get(timeout=max(0.01, end - time.monotonic()))
            found = {m.name: ({a.key: a.value.string_value for a in r.resource.attributes}, s.scope.name, m)
                     for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics}
            if names <= set(found):
                return found


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.server.stop(0).wait(10)


def settings(port, receivers=("host_metrics", "nginx_metrics"), **pipeline):
    return {"collector": {
        "receivers": {"host_metrics": {"collection_interval": "200ms", "initial_delay": "10ms"}},
        "exporters": {"otlp": {"near": {"server": {"host": "127.0.0.1", "port": port},
                                        "authenticator": "headers_setter"}}},
        "extensions": {"headers_setter": {"headers": [{"action": "insert", "key": "x-who", "value": "me"}]}},
        "pipelines": {"metrics": {"default": {"receivers": list(receivers), "processors": ["batch/default_metrics"],
                                              "exporters": ["otlp/near"], **pipeline}}}}}


def shape(metric):
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    numbers = {p.WhichOneof("value") for p in data.data_points}
    keys = {a.key for p in data.data_points for a in p.attributes}
    plus = "+" if kind == "sum" and data.is_monotonic else ""
    assert kind != "sum" or data.aggregation_temporality == 2
    return kind + plus, metric.unit, numbers.pop() if len(numbers) == 1 else numbers, keys


def test_metrics_of_nginx_and_host_have_the_names_kinds_and_units_of_nginx_agent(nginx, agents, collector):
    agents(config=settings(collector.port))
    found = collector.metrics(set(NGINX) | SURE)
    assert {n: shape(found[n][2]) for n in NGINX} == NGINX
    for name in NGINX:
        resource, scope, _ = found[name]
        assert scope == "otelcol/nginxreceiver"
        assert resource["instance.type"] == "nginx" and len(resource["instance.id"]) == 36
    host = {n: shape(m) for n, (_, _, m) in found.items() if n in HOST}
    of_container = {"system.cpu.utilization": ("gauge", "1", "as_double", {"state"})}
    assert all(host[n] in (HOST[n], of_container.get(n)) for n in host), host
    assert not [n for n in found if n.startswith("outrider.")]
    assert collector.headers.get(timeout=10)["x-who"] == "me"


def test_only_what_the_receivers_name_is_sent(agents, collector):
    agents(config=settings(collector.port, receivers=["host_metrics"]))
    assert all(n.startswith(("system.", "container.")) for n in collector.metrics(SURE))


def test_what_a_collector_missed_while_it_was_away_arrives_later(agents):
    first = Collector()
    agent = agents(config=settings(first.port, receivers=["host_metrics"]))
    first.metrics(SURE)
    first.server.stop(0).wait(10)
    wait_for(lambda: re.search(r"127.0.0.1:\d+: .*; [2-9] requests wait, 0 points", str(agent.api("status"))), "some wait")
    back = time.time_ns()
    second = Collector(first.port)
    try:
        times = [m.sum.data_points[0].time_unix_nano
                 for _, _, m in (second.metrics(SURE)["system.network.io"] for _ in range(4))]
        assert times == sorted(times)
        assert times[0] < back
    finally:
        second.server.stop(0).wait(10)


def test_what_a_collector_refuses_for_good_is_not_sent_again(agents, collector):
    collector.status = grpc.StatusCode.INVALID_ARGUMENT
    agent = agents(config=settings(collector.port, receivers=["host_metrics"]))
    wait_for(lambda: "INVALID_ARGUMENT" in agent.log_path.read_text(), "the agent says so")
    collector.status = None
    collector.metrics(SURE)


def test_a_huge_answer_is_not_taken(agents, collector):
    collector.answer = service.ExportMetricsServiceResponse(partial_success={"error_message": "x" * 1_000_000})
    agent = agents(config=settings(collector.port, receivers=["host_metrics"]))
    wait_for(lambda: "RESOURCE_EXHAUSTED" in agent.log_path.read_text(), "the agent says so")
    collector.answer = service.ExportMetricsServiceResponse()
    collector.metrics(SURE)


def test_a_component_that_is_not_supported_is_named_and_the_agent_lives_on(agents, collector):
    agent = agents(config=settings(collector.port, receivers=["host_metrics", "tcp_log/x"],
                                   exporters=["debug", "otlp/near", "otlp/far"]))
    collector.metrics(SURE)
    log = agent.log_path.read_text()
    for words in ('the receiver \\"tcp_log/x\\" is not supported', 'the exporter \\"debug\\" is not supported',
                  "has no entry below collector.exporters.otlp"):
        assert words in log or words.replace("\\", "") in log, words


def test_a_processor_that_is_not_supported_lets_nothing_through(agents, collector):
    agent = agents(config=settings(collector.port, processors=["redaction/secrets"]))
    wait_for(lambda: "nothing goes through this pipeline" in agent.log_path.read_text(), "the agent says so")
    assert collector.got.empty()
