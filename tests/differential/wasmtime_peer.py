"""Wasmtime's own Python interface running components, driven as driver.c is: the same commands, the same answers. Runs
with what requirements-wasmtime.txt pins. The interfaces of outrider:plugin answer as driver.c's host does."""

import os
import sys

from wasmtime import Config, Engine, ExitTrap, Store, Trap, WasiConfig, WasmtimeError
from wasmtime.component import Component, Linker, Variant

ANSWERS = os.fdopen(os.dup(1), "wb", buffering=0)  # what a guest prints must not come between our answers
os.dup2(2, 1)
LIFECYCLE = "outrider:plugin/lifecycle@1.0.0"
LOGGED = []
LEVELS = ("trace", "debug", "info", "warn", "error")


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


class Failure(Exception):
    def __init__(self, kind, text=b""):
        super().__init__(kind)
        self.kind, self.text = kind, text


class Peer:
    def __init__(self):
        self.engine = Engine(Config())
        self.component = self.instance = self.store = None
        self.config = {}

    def load(self, path, *options):
        self.component = self.instance = None
        self.config = {}
        for option in options:
            key, _, value = option.partition("=")
            if key == "config":
                name, _, text = value.partition(":")
                self.config[unhex(name).decode()] = unhex(text).decode()
        with open(path, "rb") as file:
            wasm = file.read()
        try:
            self.component = Component(self.engine, wasm if wasm[:4] == b"\0asm" else wasm.decode())
        except WasmtimeError as error:
            raise Failure("load", str(error).encode()) from error
        return self.fresh()

    def functions(self):
        def publish(store, topic, data):
            LOGGED.append(f"publish:{topic.encode().hex()}:{data.hex()}")

        def write(store, level, line):
            LOGGED.append(f"{LEVELS[level]}:{line.encode().hex()}")

        return {
            "bus": {"publish": publish},
            "log": {"write": write},
            "config": {"get": lambda store, key: self.config.get(key)},
            "kv": {
                "get": lambda store, key: None,  # its error cannot be given through the Python interface
                "set": lambda store, key, value: "no grant for kv.put",
                "delete": lambda store, key: Variant("err", "no grant for kv.delete"),
                "list": lambda store, prefix: Variant("err", "no grant for kv.list"),
            },
            "host": {"call": lambda store, operation, data: f"no grant for {operation}"},
        }

    def fresh(self):
        if self.component is None:
            raise Failure("load", b"nothing is loaded")
        self.store = Store(self.engine)
        self.store.set_wasi(WasiConfig())
        try:
            with Linker(self.engine) as linker:
                linker.allow_shadowing = True
                linker.add_wasip2()
                with linker.root() as root:
                    for name, functions in self.functions().items():
                        with root.add_instance(f"outrider:plugin/{name}@1.0.0") as one:
                            for function, body in functions.items():
                                one.add_func(function, body)
                self.instance = linker.instantiate(self.store, self.component)
        except (Trap, WasmtimeError) as error:
            self.instance = None
            raise Failure("load", str(error).encode()) from error
        return b""

    def find(self, name):
        lifecycle = self.instance.get_export_index(self.store, LIFECYCLE)
        index = lifecycle and self.instance.get_export_index(self.store, name, lifecycle)
        found = self.instance.get_func(self.store, index or name)
        if not found:
            raise Failure("missing")
        return found

    def call(self, operation, data):
        if self.instance is None:
            raise Failure("host", b"nothing is loaded")
        function, data = self.find(unhex(operation).decode()), unhex(data)
        kind = function.type(self.store)
        takes = [type(each).__name__ for _, each in kind.params]
        gives = type(kind.result).__name__
        try:
            result = function(self.store, *(data if each == "ListType" else data.decode() for each in takes))
            function.post_return(self.store)
        except ExitTrap as error:
            raise Failure("exit", str(error.code).encode()) from error
        except (Trap, WasmtimeError) as error:
            raise Failure("trap", str(error).encode()) from error
        if gives != "ResultType":
            return result if isinstance(result, bytes) else (result or "").encode()
        if isinstance(result, Variant):
            failed, result = result.tag == "err", result.payload
        else:
            failed = isinstance(result, str)
        result = (result or "").encode() if not isinstance(result, bytes) else result
        if failed:
            raise Failure("guest", result)
        return result


def main():
    peer = Peer()
    verbs = {"load": peer.load, "fresh": peer.fresh, "call": peer.call}
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            answer = f"ok {verbs[verb](*words).hex() or '-'}"
        except Failure as failure:
            answer = f"fail {failure.kind} {failure.text.hex() or '-'}"
        ANSWERS.write(f"{answer} {','.join(LOGGED) or '-'}\n".encode())
        LOGGED.clear()


main()
