"""Metrics that we write as OTLP, read by OpenTelemetry's own messages for Python."""

import os
import subprocess

import otlp_peer
import pytest

otlp_peer.install()
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service  # noqa: E402

CUMULATIVE, DELTA = 2, 1


def request(mode):
    done = subprocess.run([os.environ["OTLP_PROBE"], mode], stdout=subprocess.PIPE, timeout=60, check=True)
    return service.ExportMetricsServiceRequest.FromString(done.stdout)


def texts(attributes):
    return {a.key: a.value.string_value for a in attributes}


def rows(message):
    """(resource, scope, metric) of all."""
    return [(texts(r.resource.attributes), s.scope, m)
            for r in message.resource_metrics for s in r.scope_metrics for m in s.metrics]


@pytest.fixture(scope="module")
def registry():
    return request("registry")


def test_each_instance_is_a_resource_and_each_metric_is_there_once(registry):
    resources = [texts(r.resource.attributes) for r in registry.resource_metrics]
    assert resources == [{"resource.id": "r"},
                         {"instance.id": "one", "instance.type": "nginx", "resource.id": "r"},
                         {"instance.id": "two", "instance.type": "nginx", "resource.id": "r"}]
    names = [(r.get("instance.id"), m.name) for r, _, m in rows(registry)]
    assert len(names) == len(set(names)) == 9
    assert {(r.get("instance.id"), s.name) for r, s, _ in rows(registry)} >= {("one", "otelcol/nginxreceiver")}
    assert {s.version for _, s, _ in rows(registry)} == {"9.9"}


@pytest.mark.parametrize("name, kind, unit, whole", [
    ("nginx.http.connections", "sum+", "connections", True),
    ("nginx.http.request.count", "gauge", "requests", True),
    ("system.cpu.time", "sum+", "s", False),
    ("system.memory.limit", "sum", "By", True),
    ("system.cpu.load_average.1m", "gauge", "{thread}", False),
])
def test_kind_unit_and_number(registry, name, kind, unit, whole):
    metric = next(m for _, _, m in rows(registry) if m.name == name)
    data = metric.sum if kind != "gauge" else metric.gauge
    assert metric.WhichOneof("data") == kind.rstrip("+")
    assert metric.unit == unit
    assert {p.WhichOneof("value") for p in data.data_points} == {"as_int" if whole else "as_double"}
    assert {p.time_unix_nano for p in data.data_points} == {20}
    if kind != "gauge":
        assert data.aggregation_temporality == CUMULATIVE
        assert data.is_monotonic == (kind == "sum+")
        assert {p.start_time_unix_nano for p in data.data_points} == {5 if name.startswith("system.") else 10}


def test_values_and_attributes(registry):
    of_two = {m.name: m for r, _, m in rows(registry) if r.get("instance.id") == "two"}
    points = of_two["nginx.http.connections"].sum.data_points
    assert [(texts(p.attributes), p.as_int) for p in points] == [
        ({"nginx.connections.outcome": "ACCEPTED"}, 9007199254740991), ({"nginx.connections.outcome": "HANDLED"}, 1)]
    assert [p.as_int for p in of_two["nginx.http.request.count"].gauge.data_points] == [-3]
    histogram = of_two["nginx.http.request.duration"].histogram
    point, = histogram.data_points
    assert histogram.aggregation_temporality == CUMULATIVE
    assert (point.count, point.sum, list(point.bucket_counts), list(point.explicit_bounds)) == (
        2, 100.25, [1, 0, 1], [0.5, 2])
    assert not point.attributes


def test_exponential_histograms_deltas_and_texts_that_are_no_utf8():
    (resource, _, e), (_, _, d) = rows(request("kinds"))
    assert resource == {"k": "a\ufffd\u00e9"}
    full, empty = e.exponential_histogram.data_points
    assert e.exponential_histogram.aggregation_temporality == DELTA
    assert (full.count, full.zero_count, full.scale, full.sum, full.max) == (5, 1, 3, 86401.004, 86400)
    assert sum(full.positive.bucket_counts) == 4
    found = [full.positive.offset + i for i, n in enumerate(full.positive.bucket_counts) if n]
    for index, seconds in zip(found, (0.001, 0.003, 1, 86400), strict=True):
        assert 2 ** (index / 8) * 0.999999 <= seconds <= 2 ** ((index + 1) / 8) * 1.000001
    assert (empty.count, len(empty.positive.bucket_counts)) == (0, 0)
    assert d.sum.aggregation_temporality == DELTA
    assert [p.WhichOneof("value") for p in d.sum.data_points] == ["as_int", "as_double"]
    assert (d.sum.data_points[0].as_int, d.sum.data_points[1].as_double) == (-2**63, -0.5)
