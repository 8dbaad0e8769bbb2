"""libextism, driven as driver.c is: the same commands, the same answers. Runs in the environment that
requirements.txt describes.

What a failure is, is read off what libextism says of it: `code` (a result that is not 0, without a text), `exit` (WASI's
proc_exit), `missing`, `timeout`, `memory`, `trap`, `refused` (libextism's own words before the guest runs), else `guest`:
the text that the guest set."""

import json
import os
import re
import sys

from extism_sys import ffi, lib

ANSWERS = os.fdopen(os.dup(1), "wb", buffering=0)  # what a guest prints must not come between our answers
os.dup2(2, 1)


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


def text_of(pointer):
    return ffi.string(pointer)


class Failure(Exception):
    def __init__(self, kind, text=b""):
        super().__init__(kind)
        self.kind, self.text = kind, text


KEPT = []


def read_manifest(path):
    """A manifest as it is, but paths begin at its folder, and a pointer is that of the first module's file."""
    folder = os.path.dirname(path)
    with open(path, encoding="utf-8") as file:
        text = re.sub(r'"path": "(?!/)', f'"path": "{folder}/', file.read())
    if '"ptr"' in text:
        with open(os.path.join(folder, "echo.wasm"), "rb") as file:
            wasm = file.read()
        KEPT.append(ffi.from_buffer(wasm))
        at = int(ffi.cast("uintptr_t", KEPT[-1]))
        text = re.sub(r'"ptr": \d+, "len": \d+', f'"ptr": {at}, "len": {len(wasm)}', text)
    return text.encode()


LOGGED = []
GUEST_LINE = re.compile(rb'^\S+ +([A-Z]+) extism::pdk: (.*) plugin="[^"]*"\n$', re.DOTALL)


@ffi.callback("void(char*, ExtismSize)")
def take_line(at, n):
    found = GUEST_LINE.match(ffi.unpack(at, n))
    if found:
        LOGGED.append(f"{found[1].decode().lower()}:{found[2].hex()}")


def logs():
    lib.extism_log_drain(take_line)
    text = ",".join(LOGGED)
    LOGGED.clear()
    return text or "-"


# ---- the functions of extism:host/user that driver.c's host offers ----


def block(current, handle):
    n = lib.extism_current_plugin_memory_length(current, handle)
    return bytes(ffi.buffer(lib.extism_current_plugin_memory(current) + handle, n)) if n else b""


def give(current, data):
    if not data:
        return 0
    handle = lib.extism_current_plugin_memory_alloc(current, len(data))
    ffi.buffer(lib.extism_current_plugin_memory(current) + handle, len(data))[:] = data
    return handle


ERROR = [b""]


def publish(current, inputs, outputs):
    LOGGED.append(f"publish:{block(current, inputs[0].v.i64).hex()}:{block(current, inputs[1].v.i64).hex()}")
    outputs[0].v.i64 = 0


def host_call(current, inputs, outputs):
    ERROR[0] = b"no grant for " + block(current, inputs[0].v.i64)
    outputs[0].v.i64 = 0


def host_error(current, inputs, outputs):
    outputs[0].v.i64 = give(current, ERROR[0])


def callback(body):
    @ffi.callback("void(ExtismCurrentPlugin*, const ExtismVal*, ExtismSize, ExtismVal*, ExtismSize, void*)")
    def run(current, inputs, n_inputs, outputs, n_outputs, data):
        body(current, inputs, outputs)

    return run


I64 = 1
FUNCTIONS = [
    (b"outrider_publish", 2, callback(publish)),
    (b"outrider_call", 2, callback(host_call)),
    (b"outrider_error", 0, callback(host_error)),
]


class Peer:
    def __init__(self):
        self.compiled = self.plugin = ffi.NULL
        self.config, self.functions = {}, []

    def drop(self, both):
        if self.plugin != ffi.NULL:
            lib.extism_plugin_free(self.plugin)
        self.plugin = ffi.NULL
        if both and self.compiled != ffi.NULL:
            lib.extism_compiled_plugin_free(self.compiled)
            self.compiled = ffi.NULL
        while both and self.functions:
            lib.extism_function_free(self.functions.pop())

    def load(self, path, *options):
        self.drop(True)
        manifest = {"wasm": [], "memory": {"max_pages": 1024}}
        self.config = {}
        for option in options:
            key, _, value = option.partition("=")
            if key == "pages":
                manifest["memory"]["max_pages"] = int(value)
            elif key == "timeout":
                manifest["timeout_ms"] = int(value)
            elif key == "config":
                name, _, text = value.partition(":")
                self.config[unhex(name).decode()] = unhex(text).decode()
            elif key == "module":
                name, _, file = value.partition(":")
                manifest["wasm"].append({"path": file, "name": name})
        manifest["wasm"].append({"path": path, "name": "main"})
        manifest["config"] = self.config
        text = read_manifest(path) if path.endswith(".json") else json.dumps(manifest).encode()
        error = ffi.new("char**")
        for name, n, run in FUNCTIONS:  # each belongs to one plugin
            made = lib.extism_function_new(name, [I64] * n, n, [I64], 1, run, ffi.NULL, ffi.NULL)
            self.functions.append(made)
        functions = ffi.new("ExtismFunction*[]", self.functions)
        self.compiled = lib.extism_compiled_plugin_new(text, len(text), functions, len(FUNCTIONS), True, error)
        self.refuse(self.compiled, error)
        return self.fresh()

    def refuse(self, made, error):
        if made == ffi.NULL:
            text = text_of(error[0])
            lib.extism_plugin_new_error_free(error[0])
            raise Failure("load", text)

    def fresh(self):
        self.drop(False)
        if self.compiled == ffi.NULL:
            raise Failure("load", b"nothing is loaded")
        error = ffi.new("char**")
        self.plugin = lib.extism_plugin_new_from_compiled(self.compiled, error)
        self.refuse(self.plugin, error)
        return b""

    def call(self, operation, data):
        if self.plugin == ffi.NULL:
            raise Failure("host", b"nothing is loaded")
        name, data = unhex(operation), unhex(data)
        code = lib.extism_plugin_call(self.plugin, name, data, len(data))
        error = lib.extism_plugin_error(self.plugin)
        if error != ffi.NULL:
            raise Failure(*kind_of(text_of(error)))
        if code != 0:
            raise Failure("code", str(code).encode())
        n = lib.extism_plugin_output_length(self.plugin)
        return bytes(ffi.buffer(lib.extism_plugin_output_data(self.plugin), n)) if n else b""


def kind_of(text):
    if text.startswith(b"Function not found"):
        return "missing", text
    if text == b"timeout":
        return "timeout", text
    if text == b"oom":
        return "memory", text
    if re.match(
        rb"failed to allocate extism memory|expected \d+ arguments|Function \S+ has \d+ results|failed to initialize",
        text,
    ):
        return "refused", text
    exited = re.search(rb"Exited with i32 exit status (-?\d+)", text)
    if exited:
        return "exit", exited[1]
    if b"error while executing at wasm backtrace" in text or b"wasm trap:" in text:
        return "trap", text
    return "guest", text


def main():
    lib.extism_log_custom(b"trace")
    peer = Peer()
    verbs = {"load": peer.load, "fresh": peer.fresh, "call": peer.call}
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            answer = f"ok {verbs[verb](*words).hex() or '-'}"
        except Failure as failure:
            answer = f"fail {failure.kind} {failure.text.hex() or '-'}"
        ANSWERS.write(f"{answer} {logs()}\n".encode())


main()
