"""The conformance guest (see tests/guests/README.md) for componentize-py."""

import json

from componentize_py_types import Err
from wit_world import WitWorld as World
from wit_world import exports
from wit_world.imports import bus, config, host, kv, log

INFO = 2


def take_config(text):
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Err(str(error)) from error
    if not isinstance(value, dict):
        raise Err("config: not a JSON object")


class Lifecycle(exports.Lifecycle):
    def info(self):
        return '{"name":"py-wit","version":"1.0.0","api":"1"}'

    def subscriptions(self):
        return '{"topics":[{"pattern":"test.ping","kind":"event"}]}'

    def init(self, config):
        take_config(config)

    def process(self, message):
        envelope = json.loads(message)
        if "data" not in envelope:
            raise Err("the message has no data")
        bus.publish("test.echo", json.dumps(envelope["data"], separators=(",", ":")).encode())
        return b""

    def reconfigure(self, config):
        take_config(config)

    def close(self):
        log.write(INFO, "closed")


def kv_get(key):
    value = kv.get(key.decode())
    if value is None:
        raise Err("no such key")
    return value


def kv_put(data):
    end = 4 + int.from_bytes(data[:4], "little")
    kv.set(data[4:end].decode(), data[end:])
    return b""


# kv by its typed functions, everything else by name.
TYPED = {
    "kv.get": kv_get,
    "kv.put": kv_put,
    "kv.delete": lambda key: kv.delete(key.decode()).encode(),
    "kv.list": lambda prefix: kv.list(prefix.decode()).encode(),
}


class WitWorld(World):
    counted = 0

    def echo(self, input):
        return input

    def fail(self, input):
        raise Err("asked to fail")

    def config(self, key):
        value = config.get(key.decode())
        if value is None:
            raise Err("no such key")
        return value.encode()

    def host(self, input):
        name, _, rest = input.partition(b"\n")
        operation = name.decode()
        return TYPED[operation](rest) if operation in TYPED else host.call(operation, rest)

    def note(self, text):
        log.write(INFO, text.decode())
        return b""

    def count(self, input):
        WitWorld.counted += 1
        return str(WitWorld.counted).encode()

    def trap(self, input):
        raise RuntimeError("trapped")
