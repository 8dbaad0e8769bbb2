"""What we write as protobuf reads the same elsewhere, and the other way round: Python's implementation on the same
.proto files, and its JSON mapping against our JSON. The differences that docs/abi/encoding.md lists are taken out by
`ours()`, and nothing else is."""

import json
import os
import random
import re
import struct
import subprocess

import pytest
from google.protobuf import json_format, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor as F
from outrider.plugin.v1 import host_pb2, plugin_pb2, topics_pb2

TOPICS_H = os.path.join(os.path.dirname(__file__), "../../src/modules/topics.h")
MESSAGES = {
    "Envelope": plugin_pb2.Envelope,
    "Info": plugin_pb2.Info,
    "Subscriptions": plugin_pb2.Subscriptions,
    "Verdict": plugin_pb2.Verdict,
    "Publish": host_pb2.Publish,
    "KvSet": host_pb2.KvSet,
    "KvGetAnswer": host_pb2.KvGetAnswer,
    "KvDeleteAnswer": host_pb2.KvDeleteAnswer,
    "KvListAnswer": host_pb2.KvListAnswer,
    "HttpRequest": host_pb2.HttpRequest,
    "HttpAnswer": host_pb2.HttpAnswer,
    "Metric": host_pb2.Metric,
    "ClockAnswer": host_pb2.ClockAnswer,
    "InstancesAnswer": host_pb2.InstancesAnswer,
    "google.protobuf.Value": struct_pb2.Value,
    "google.protobuf.Struct": struct_pb2.Struct,
}


class Probe:
    def __init__(self):
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}
        self.process = subprocess.Popen(
            [os.environ["PROTOBUF_PROBE"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        state, _, rest = self.process.stdout.readline().rstrip("\n").partition(" ")
        return state, rest

    def good(self, verb, name, data):
        state, answer = self.ask(verb, name, data.hex())
        assert state == "ok", (verb, name, data, answer)
        return bytes.fromhex(answer)

    def bad(self, verb, name, data):
        state, answer = self.ask(verb, name, data.hex())
        assert state == "error" and answer, (verb, name, data, answer)
        return answer


@pytest.fixture(scope="module")
def probe():
    one = Probe()
    yield one
    one.process.stdin.close()
    assert one.process.wait(timeout=20) == 0


# ---- what differs from the JSON mapping of protobuf ----


def plain(value, descriptor):
    """One value of the mapping as our JSON has it: integers of 64 bits are numbers."""
    if descriptor.type in (F.TYPE_INT64, F.TYPE_UINT64):
        return int(value)
    if descriptor.type == F.TYPE_MESSAGE:
        return ours(value, descriptor.message_type)
    return value


def ours(mapped, message):
    """The mapping of a message as our JSON has it."""
    if message.full_name == "google.protobuf.Timestamp":
        return mapped if "." in mapped else mapped.replace("Z", ".000Z")
    if message.full_name.startswith("google.protobuf."):
        return mapped
    result = {}
    for field in message.fields:
        if field.json_name not in mapped or field.type == F.TYPE_BYTES:  # bytes go beside JSON
            continue
        value = mapped[field.json_name]
        if field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            value = {k: plain(v, field.message_type.fields_by_name["value"]) for k, v in value.items()}
        elif field.label == F.LABEL_REPEATED:
            value = [plain(v, field) for v in value]
        else:
            value = plain(value, field)
        result[field.json_name] = value
    return result


def mapping(message):
    return ours(json_format.MessageToDict(message, including_default_value_fields=True), message.DESCRIPTOR)


# ---- topics ----


def told(value):
    """Without what says nothing: JSON leaves it out or has null where a message has its default."""
    if isinstance(value, dict):
        return {k: told(v) for k, v in value.items() if v or v is True}
    return [told(v) for v in value] if isinstance(value, list) else value


def test_every_topic_has_the_same_data_in_both_encodings(probe):
    state, count = probe.ask("topics")
    assert state == "ok"
    seen = set()
    for _ in range(int(count)):
        text, wire = (bytes.fromhex(h) for h in probe.process.stdout.readline().split())
        envelope = json.loads(text)
        message = plugin_pb2.Envelope.FromString(wire)
        payload = message.WhichOneof("payload")
        assert payload not in (None, "data"), envelope["topic"]
        mapped = mapping(message)
        sent, seen_there = envelope.pop("data"), mapped.pop(payload)
        assert told(seen_there) == told(sent)
        assert set(sent) <= set(seen_there)
        # Milliseconds in JSON, nanoseconds here, of the same moment.
        assert abs(parse_time(mapped.pop("time")) - parse_time(envelope.pop("time"))) < 1
        assert mapped == envelope
        assert len(message.UnknownFields()) == 0 and len(getattr(message, payload).UnknownFields()) == 0
        seen.add(envelope["topic"])
    with open(TOPICS_H) as header:
        table = set(re.findall(r"^ \* ([a-z]+(?:\.[a-z]+)+) +otr_", header.read(), re.M))
    assert seen == table, "a compiled-in topic has no message of its own in proto/, or is not tried here"


def parse_time(text):
    import datetime

    whole, _, fraction = text.rstrip("Z").partition(".")
    stamp = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc).timestamp()
    return stamp + float("0." + (fraction or "0"))


# ---- any message, both ways ----

EDGES = {
    F.TYPE_UINT64: [0, 1, 127, 128, 2**32, 2**63 - 1, 2**63, 2**64 - 1],
    F.TYPE_INT64: [0, 1, -1, 127, 128, 2**63 - 1, -(2**63)],
    F.TYPE_UINT32: [0, 1, 127, 128, 2**31, 2**32 - 1],
    F.TYPE_BOOL: [True, False],
    F.TYPE_DOUBLE: [0.0, 1.0, -1.0, 0.1, 2.0**53, 2.0**53 - 1, 1e300, -5e-324, 1.7976931348623157e308, 123456789.125],
    F.TYPE_STRING: ["", "a", "\x00", 'quote " and \\', "line\nbreak\t", "é", "€", "😀", "\x7f", "x" * 200, "y" * 20000],
    F.TYPE_BYTES: [b"", b"\x00\xff", b"z" * 300],
}
KEYS = ["", "a", "é", 'k"\\', "x" * 130, "2xx"]


def fill_value(dice, value, depth):
    kind = dice.choice(["null", "number", "string", "bool"] + (["struct", "list"] if depth > 0 else []))
    if kind == "null":
        value.null_value = 0
    elif kind == "number":
        value.number_value = dice.choice(EDGES[F.TYPE_DOUBLE])
    elif kind == "string":
        value.string_value = dice.choice(EDGES[F.TYPE_STRING])
    elif kind == "bool":
        value.bool_value = dice.choice([True, False])
    elif kind == "struct":
        value.struct_value.SetInParent()
        for key in dice.sample(KEYS, dice.randint(0, 3)):
            fill_value(dice, value.struct_value.fields[key], depth - 1)
    else:
        value.list_value.SetInParent()
        for _ in range(dice.randint(0, 3)):
            fill_value(dice, value.list_value.values.add(), depth - 1)


def fill_map(dice, message, field):
    entry = field.message_type.fields_by_name["value"]
    target = getattr(message, field.name)
    for key in dice.sample(KEYS, dice.randint(0, 4)):
        if entry.type == F.TYPE_MESSAGE:
            fill_value(dice, target[key], 3)
        else:
            target[key] = dice.choice(EDGES[entry.type])


def fill(dice, message, depth=4):
    if isinstance(message, struct_pb2.Value):
        return fill_value(dice, message, depth)
    if isinstance(message, timestamp_pb2.Timestamp):
        message.seconds, message.nanos = dice.randrange(2**33), dice.randrange(1000) * 1000000
        return None
    for field in message.DESCRIPTOR.fields:
        if dice.random() < 0.25:
            continue
        target = getattr(message, field.name)
        if field.type == F.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            fill_map(dice, message, field)
        elif field.type == F.TYPE_MESSAGE and field.label == F.LABEL_REPEATED:
            for _ in range(dice.randint(0, 3)):
                fill(dice, target.add(), depth - 1)
        elif field.type == F.TYPE_MESSAGE:
            target.SetInParent()
            fill(dice, target, depth - 1)
        else:
            choices = (
                [v.number for v in field.enum_type.values] if field.type == F.TYPE_ENUM else EDGES[field.type]
            )
            if field.label == F.LABEL_REPEATED:
                target.extend(dice.choice(choices) for _ in range(dice.randint(0, 4)))
            else:
                setattr(message, field.name, dice.choice(choices))
    return None


def without_bytes(message):
    copy = type(message)()
    copy.CopyFrom(message)
    for field in message.DESCRIPTOR.fields:
        if field.type == F.TYPE_BYTES:
            copy.ClearField(field.name)
    return copy


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_reads_the_same_on_both_sides(probe, name):
    dice = random.Random(name)
    for _ in range(150):
        message = MESSAGES[name]()
        fill(dice, message)
        if isinstance(message, struct_pb2.Value) and message.WhichOneof("kind") is None:
            message.null_value = 0
        text = probe.good("read", name, message.SerializeToString())
        assert json.loads(text) == mapping(message), text
        again = MESSAGES[name].FromString(probe.good("write", name, text))
        assert again == without_bytes(message)
        escaped = json.dumps(json.loads(text)).encode()  # everything beyond ASCII as \\u escapes
        assert MESSAGES[name].FromString(probe.good("write", name, escaped)) == again


def nested(depth):
    value = struct_pb2.Value(bool_value=True)
    for _ in range(depth):
        outer = struct_pb2.Value()
        outer.list_value.values.add().CopyFrom(value)
        value = outer
    return value


def test_the_edges(probe):
    text = "é" * (1 << 20)
    message = struct_pb2.Value(string_value=text)
    assert json.loads(probe.good("read", "google.protobuf.Value", message.SerializeToString())) == text
    wire = probe.good("write", "google.protobuf.Value", json.dumps([text, "\n"]).encode())
    assert struct_pb2.Value.FromString(wire).list_value.values[0].string_value == text
    deep = nested(40)
    assert json.loads(probe.good("read", "google.protobuf.Value", deep.SerializeToString()))[0]
    assert "deeper" in probe.bad("read", "google.protobuf.Value", nested(80).SerializeToString())
    assert "UTF-8" in probe.bad("read", "Info", b"\x0a\x02\xc3\x28")
    assert "finite" in probe.bad("read", "google.protobuf.Value", b"\x11" + struct.pack("<d", float("nan")))
    assert probe.bad("read", "Info", plugin_pb2.Info(name="abc").SerializeToString()[:-1])
    assert "not JSON" in probe.bad("write", "Info", b'{"name":"\xff"}')


def test_unpacked_numbers_and_unknown_fields_are_read(probe):
    answer = host_pb2.InstancesAnswer()
    answer.instances.add(id="x", workers=[1, 2**40])
    raw = b"\x0a" + bytes([3 + 2 + 7 + 3]) + b"\x0a\x01x" + b"\x18\x01" + b"\x18\x80\x80\x80\x80\x80\x20" + b"\xf8\x07\x01"
    assert topics_pb2.Instance.FromString(raw[2:]).workers == [1, 2**40]
    assert json.loads(probe.good("read", "InstancesAnswer", raw)) == mapping(answer)


def test_a_health_that_we_do_not_know_is_an_error_here_and_a_number_there(probe):
    message = plugin_pb2.Envelope()
    message.health.status = 9
    assert "status" in probe.bad("read", "Envelope", message.SerializeToString())
