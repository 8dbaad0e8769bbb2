"""Guests as text: what a body needs to speak Extism or waPC in few lines, and wat2wasm."""

import hashlib
import os
import subprocess

ENV = {
    "alloc": "(param i64) (result i64)",
    "free": "(param i64)",
    "length": "(param i64) (result i64)",
    "length_unsafe": "(param i64) (result i64)",
    "load_u8": "(param i64) (result i32)",
    "load_u64": "(param i64) (result i64)",
    "store_u8": "(param i64 i32)",
    "store_u64": "(param i64 i64)",
    "input_length": "(result i64)",
    "input_offset": "(result i64)",
    "input_load_u8": "(param i64) (result i32)",
    "input_load_u64": "(param i64) (result i64)",
    "output_set": "(param i64 i64)",
    "error_set": "(param i64)",
    "config_get": "(param i64) (result i64)",
    "var_get": "(param i64) (result i64)",
    "var_set": "(param i64 i64)",
    "http_request": "(param i64 i64) (result i64)",
    "http_status_code": "(result i32)",
    "log_trace": "(param i64)",
    "log_debug": "(param i64)",
    "log_info": "(param i64)",
    "log_warn": "(param i64)",
    "log_error": "(param i64)",
}
RARE = {  # not in every host, or not of every generation: a guest names what it needs
    "error_get": "(result i64)",
    "get_log_level": "(result i32)",
    "http_headers": "(result i64)",
    "input_set": "(param i64 i64)",
    "output_offset": "(result i64)",
    "output_length": "(result i64)",
    "reset": "",
    "memory_bytes": "(result i64)",
}
WASI = {
    "proc_exit": "(param i32)",
    "fd_write": "(param i32 i32 i32 i32) (result i32)",
    "random_get": "(param i32 i32) (result i32)",
    "clock_time_get": "(param i32 i64 i32) (result i32)",
    "args_sizes_get": "(param i32 i32) (result i32)",
    "environ_sizes_get": "(param i32 i32) (result i32)",
    "fd_prestat_get": "(param i32 i32) (result i32)",
    "fd_read": "(param i32 i32 i32 i32) (result i32)",
    "fd_close": "(param i32) (result i32)",
    "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
    "sched_yield": "(result i32)",
}
WAPC = {
    "__guest_request": "(param i32 i32)",
    "__guest_response": "(param i32 i32)",
    "__guest_error": "(param i32 i32)",
    "__host_call": "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
    "__host_response_len": "(result i32)",
    "__host_response": "(param i32)",
    "__host_error_len": "(result i32)",
    "__host_error": "(param i32)",
    "__console_log": "(param i32 i32)",
}
NOTES, TEXTS, MEMORY_PAGES = 32768, 65536, 4  # notes grow from the first, constant texts lie from the second

# A block with bytes of the guest's memory; a note is 8 bytes that `$flush` makes the output.
EXTISM_HELP = f"""
(func $put (param $at i32) (param $n i32) (result i64) (local $h i64) (local $i i32)
  (local.set $h (call $alloc (i64.extend_i32_u (local.get $n))))
  (block $done (loop $next
    (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
    (call $store_u8 (i64.add (local.get $h) (i64.extend_i32_u (local.get $i)))
      (i32.load8_u (i32.add (local.get $at) (local.get $i))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $next)))
  (local.get $h))
(func $echo (local $h i64) (local $i i64) (local $n i64)
  (local.set $n (call $input_length))
  (local.set $h (call $alloc (local.get $n)))
  (block $done (loop $next
    (br_if $done (i64.ge_u (local.get $i) (local.get $n)))
    (call $store_u8 (i64.add (local.get $h) (local.get $i)) (call $input_load_u8 (local.get $i)))
    (local.set $i (i64.add (local.get $i) (i64.const 1)))
    (br $next)))
  (call $output_set (local.get $h) (local.get $n)))
(func $flush (local $h i64)
  (local.set $h (call $put (i32.const {NOTES}) (global.get $noted)))
  (call $output_set (local.get $h) (i64.extend_i32_u (global.get $noted)))
  (global.set $noted (i32.const 0)))
"""
NOTE = f"""
(global $noted (mut i32) (i32.const 0))
(func $note (param $v i64)
  (i64.store (i32.add (i32.const {NOTES}) (global.get $noted)) (local.get $v))
  (global.set $noted (i32.add (global.get $noted) (i32.const 8))))
"""


def imports(space, table, prefix=""):
    return "\n".join(f'(import "{space}" "{prefix}{name}" (func ${name} {kind}))' for name, kind in table.items())


def quote(data):
    return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02x}" for b in data)


class Texts:
    """Constant texts of one guest; `text` gives the two arguments (offset, length)."""

    def __init__(self):
        self.at, self.known = TEXTS, {}

    def place(self, data):
        data = data.encode() if isinstance(data, str) else data
        if data not in self.known:
            self.known[data] = self.at
            self.at += len(data)
        return self.known[data], len(data)

    def args(self, data):
        return "(i32.const {}) (i32.const {})".format(*self.place(data))

    def block(self, data):
        return f"(call $put {self.args(data)})"

    def segments(self):
        return "\n".join(f'(data (i32.const {at}) "{quote(data)}")' for data, at in self.known.items() if data)


def function(name, body, result="(result i32)", locals_=""):
    slots = " ".join(f"(local $h{i} i64)" for i in range(6))
    return f'(func (export "{name}") {result} {slots} (local $i i32) {locals_} {body})'


def extism(
    ops,
    texts=None,
    rare=(),
    wasi=(),
    more="",
    space="extism:host/env",
    prefix="",
    results=None,
    wasi_space="wasi_snapshot_preview1",
):
    """A module whose operations have these bodies."""
    texts = texts or Texts()
    table = {**ENV, **{name: RARE[name] for name in rare}}
    bodies = "\n".join(function(n, b, (results or {}).get(n, "(result i32)")) for n, b in ops.items())
    return f"""(module
{imports(space, table, prefix)}
{imports(wasi_space, {name: WASI[name] for name in wasi})}
(memory (export "memory") {max(MEMORY_PAGES, texts.at // 65536 + 1)})
{NOTE}{EXTISM_HELP}{more}
{bodies}
{texts.segments()})"""


# The request's operation lies at 1024, its payload at 131072; $op is the operation's last byte.
WAPC_TEMPLATE = """(module
{imports}
(memory (export "memory") {pages})
{note}
(func $flush (call $__guest_response (i32.const {notes}) (global.get $noted)) (global.set $noted (i32.const 0)))
{more}
{bodies}
(func (export "__guest_call") (param $n_op i32) (param $n i32) (result i32) (local $op i32)
  {request}
  (local.set $op (i32.load8_u (i32.add (i32.const 1023) (local.get $n_op))))
{dispatch}
  (i32.const 0))
{segments})"""
REQUEST = "(call $__guest_request (i32.const 1024) (i32.const 131072))"


def wapc(ops, texts=None, wasi=(), more="", request=REQUEST, wasi_space="wasi_snapshot_preview1", pages=20):
    """A waPC guest: `ops` are bodies by the operation's last letter; $n is the payload's length, at 131072."""
    texts = texts or Texts()
    bodies = "\n".join(
        f"(func $op_{name} (param $n_op i32) (param $n i32) (result i32) (local $i i32) (local $r i32) {body})"
        for name, body in ops.items()
    )
    dispatch = "\n".join(
        f"(if (i32.eq (local.get $op) (i32.const {ord(name)}))"
        f" (then (return (call $op_{name} (local.get $n_op) (local.get $n)))))"
        for name in ops
    )
    return WAPC_TEMPLATE.format(
        imports=imports("wapc", WAPC) + "\n" + imports(wasi_space, {name: WASI[name] for name in wasi}),
        pages=pages, note=NOTE, notes=NOTES, more=more, bodies=bodies, request=request, dispatch=dispatch,
        segments=texts.segments(),
    )  # fmt: skip


def build(text, folder, name):
    """The path of the assembled module."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    source, made = (os.path.join(folder, f"{name}-{digest}.{ext}") for ext in ("wat", "wasm"))
    if not os.path.exists(made):
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run(
            ["wat2wasm", "--enable-all", source, "-o", made], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{source}: {done.stderr}"
    return made
