"""Families of waPC guests made by hand. The payload lies at 131072, $n bytes; see wat.py."""

import wat
from cases_extism import KIT_STEPS, Case, k, note, note32

IN = "(i32.const 131072)"
ECHO = f"(call $__guest_response {IN} (local.get $n))"
GOOD = "(i32.const 1)"


DIFFERS = {  # case: its row in docs/abi/differences.md
    name: row
    for row, names in {
        "wapc-empty-range": [f"{what} no bytes far outside" for what in ("response", "error", "log", "host call with a payload", "host call with a binding")],
        "wapc-error-escaped": ("error with line feed, ESC",),
        "wapc-error-nul": ("error with a NUL",),
        "wapc-host-error-cut": ("a failure of 500 bytes", "a failure of 5000 bytes"),
        "wapc-host-names": ("an operation with a NUL", "names of 300 bytes"),
        "wapc-initialize": ("start: _initialize", "start: _initialize, _start", "start: _initialize, wapc_init", "start: _initialize, start",
            "start: _initialize, _start, wapc_init, start", "_initialize traps", "_initialize exits with 3", "_initialize calls the host",
            "_initialize of type (param i32)", "_initialize of type (result i32) (i32.const 0)"),
        "wapc-memory": ("no memory, no host function", "no memory, a response", "memory under another name"),
        "wapc-no-response": ("result 1", "result 1, empty error", "nothing of the call before"),
        "wapc-not-utf8": ("error with invalid UTF-8", "names that are no UTF-8", "console log of no UTF-8", "a failure whose text is no UTF-8"),
        "wapc-result": [f"result {n}, {how}" for n in (2, -1, 255) for how in ("response", "response, error", "error, response", "empty response")],
    }.items()
    for name in names
}  # fmt: skip


class Family:
    def __init__(self):
        self.cases = []

    def add(self, name, ops, steps=None, texts=None, options=None, logs=True, **how):
        """`ops`: a body, or several by letter; without `steps` each is asked once, with no input."""
        ops = ops if isinstance(ops, dict) else {"r": ops}
        steps = steps or [(op, b"") for op in ops]
        text = wat.wapc(ops, texts, **how)
        self.cases.append(Case(name, text, steps, options or {}, DIFFERS.get(name, ""), logs))

    def raw(self, name, text, steps, options=None):
        self.cases.append(Case(name, text, steps, options or {}, DIFFERS.get(name, "")))


def results(f):
    for code in (0, 1, 2, -1, 255):
        t = wat.Texts()
        f.add(f"result {code}", f"(i32.const {code})")
        f.add(f"result {code}, response", f"{ECHO} (i32.const {code})", [("r", b"abc"), ("r", b"")])
        f.add(f"result {code}, error", f"(call $__guest_error {t.args('bad')}) (i32.const {code})", texts=t)
        t = wat.Texts()
        f.add(
            f"result {code}, response, error",
            f"{ECHO} (call $__guest_error {t.args('bad')}) (i32.const {code})",
            [("r", b"abc"), ("r", b"")],
            texts=t,
        )
        t = wat.Texts()
        f.add(
            f"result {code}, error, response",
            f"(call $__guest_error {t.args('bad')}) {ECHO} (i32.const {code})",
            [("r", b"abc")],
            texts=t,
        )
        t = wat.Texts()
        f.add(
            f"result {code}, empty error",
            f"(call $__guest_error (i32.const 0) (i32.const 0)) (i32.const {code})",
            texts=t,
        )
        f.add(
            f"result {code}, empty response", f"(call $__guest_response (i32.const 0) (i32.const 0)) (i32.const {code})"
        )
    t = wat.Texts()
    f.add(
        "two errors",
        f"(call $__guest_error {t.args('one')}) (call $__guest_error {t.args('two')}) (i32.const 0)",
        texts=t,
    )
    t = wat.Texts()
    f.add(
        "two responses",
        f"(call $__guest_response {t.args('one')}) (call $__guest_response {t.args('two')}) {GOOD}",
        texts=t,
    )
    t = wat.Texts()
    f.add(
        "a response, then memory changes",
        f"(call $__guest_response {t.args('one')}) (i32.store8 (i32.const 65536) (i32.const 90)) {GOOD}",
        texts=t,
    )
    t = wat.Texts()
    f.add("error, trap", f"(call $__guest_error {t.args('bad')}) (unreachable)", texts=t)
    f.add("response, trap", f"{ECHO} (unreachable)", [("r", b"abc")])
    for n in (100, 239, 240, 241, 479, 480, 5000):
        t = wat.Texts()
        f.add(f"error of {n} bytes", f"(call $__guest_error {t.args('x' * n)}) (i32.const 0)", texts=t)
    for name, data in (
        ("invalid UTF-8", b"a\xff\xfeb"),
        ("a NUL", b"a\0b"),
        ("line feed, ESC", b"a\n\x1b[31mb"),
        ("UTF-8", "é€🦀".encode()),
    ):
        t = wat.Texts()
        f.add(f"error with {name}", f"(call $__guest_error {t.args(data)}) (i32.const 0)", texts=t)
        t = wat.Texts()
        f.add(f"response with {name}", f"(call $__guest_response {t.args(data)}) {GOOD}", texts=t)
    f.add("error, then a good call", {"b": "(call $__guest_error (i32.const 65536) (i32.const 0)) (i32.const 0)", "g": f"{ECHO} {GOOD}"},
          [("g", b"a"), ("b", b""), ("g", b"b"), ("b", b""), ("g", b"")])  # fmt: skip
    f.add("nothing of the call before", {"a": f"{ECHO} {GOOD}", "n": GOOD}, [("a", b"abc"), ("n", b""), ("a", b"")])
    f.add(
        "traps",
        {"u": "(unreachable)", "d": "(i32.div_u (i32.const 1) (local.get $i))", "l": "(i32.load (i32.const -4))"},
    )
    f.add("deep recursion", f"(call $deep) {GOOD}", more="(func $deep (call $deep) (call $deep))")
    f.add(
        "an operation of another name", f"{ECHO} {GOOD}", [("x", b"abc"), ("some.longer/name r", b"abc"), ("é r", b"")]
    )
    for code in (0, 1, 3, 255):
        f.add(f"proc_exit {code}", f"(call $proc_exit (i32.const {code})) (unreachable)", wasi=["proc_exit"])
        f.add(
            f"response, proc_exit {code}",
            f"{ECHO} (call $proc_exit (i32.const {code})) (unreachable)",
            [("r", b"abc")],
            wasi=["proc_exit"],
        )
    f.add("state lives on", {"u": f"(global.set $c (i64.add (global.get $c) (i64.const 1))) {note('(global.get $c)')} (call $flush) {GOOD}"},
          [("u", b""), ("u", b""), ("u", b"")], more="(global $c (mut i64) (i64.const 0))")  # fmt: skip


def requests(f):
    for n in (0, 1, 7, 8, 100, 65536, 1 << 20):
        data = bytes(i * 7 & 255 for i in range(n))
        f.add(f"echo of {n} bytes", f"{ECHO} {GOOD}", [("r", data), ("r", b""), ("r", data)])
        f.add(
            f"lengths with {n} bytes",
            note32("(local.get $n_op)") + note32("(local.get $n)") + f"(call $flush) {GOOD}",
            [("r", data), ("longer r", data)],
        )
    f.add(
        "the request twice",
        f"(call $__guest_request (i32.const 2048) (i32.const 3072)) (call $__guest_response (i32.const 2048) (i32.const 1028)) {GOOD}",
        [("r", b"abcd")],
    )
    f.add(
        "the request never",
        f"(call $__guest_response {IN} (i32.const 4)) {GOOD}",
        [("r", b"abcd"), ("r", b"xy")],
        request="(i32.store8 (i32.const 1024) (i32.const 114))",
    )
    f.add(
        "operation and payload overlap",
        f"(call $__guest_request (i32.const 2048) (i32.const 2049)) (call $__guest_response (i32.const 2048) (i32.const 8)) {GOOD}",
        [("abcr", b"1234"), ("r", b"1234")],
    )


HOST = "(call $__host_call {bd} {ns} {op} {data})"


def host_calls(f):
    def make(t, bd, ns, op, data, after):
        call = HOST.format(bd=t.args(bd), ns=t.args(ns), op=t.args(op), data=data if data else t.args(""))
        return "(local.set $r " + call + ")" + note32("(local.get $r)") + after

    lengths = note32("(call $__host_response_len)") + note32("(call $__host_error_len)")
    texts = (
        "(call $__host_response (i32.const 4096)) (call $__host_error (i32.const 6144))"
        + note("(i64.load (i32.const 4096))")
        + note("(i64.load (i32.const 6144))")
    )
    end = f"(call $flush) {GOOD}"
    for op in ("echo", "names", "empty", "fail", "unknown"):
        t = wat.Texts()
        asked = [("r", b"payload8"), ("r", "é€".encode())] + ([] if op == "fail" else [("r", b"")])
        f.add(f"host call {op}", make(t, "b", "n", op, f"{IN} (local.get $n)", lengths + texts + end), asked, texts=t)
    t = wat.Texts()
    body = (
        make(t, "b", "n", "fail", t.args("sorry"), lengths)
        + make(t, "b", "n", "echo", t.args("hello"), lengths + texts)
        + make(t, "b", "n", "empty", t.args(""), lengths + texts + end)
    )
    f.add("failure, success, empty success", body, texts=t)
    t = wat.Texts()
    f.add("lengths before any host call", lengths + texts + end)
    t = wat.Texts()
    ops = {
        "h": make(t, "b", "n", "echo", t.args("hello"), lengths + end),
        "e": make(t, "b", "n", "fail", t.args("sorry"), lengths + end),
        "l": lengths + texts + end,
    }
    f.add("the answer of the call before", ops, [("h", b""), ("l", b""), ("e", b""), ("l", b"")], texts=t)
    t = wat.Texts()
    f.add("names that are no UTF-8", make(t, b"\xff", "n", "echo", "", lengths + end), texts=t)
    t = wat.Texts()
    f.add("empty names", make(t, "", "", "names", "", lengths + texts + end), texts=t)
    t = wat.Texts()
    f.add("an operation with a NUL", make(t, "b", "n", b"ec\0ho", "", lengths + texts + end), texts=t)
    t = wat.Texts()
    f.add("names of 300 bytes", make(t, "b" * 300, "n" * 300, "names", "", lengths + texts + end), texts=t)
    t = wat.Texts()
    f.add(
        "a failure whose text is no UTF-8", make(t, "b", "n", "fail", t.args(b"a\xffb"), lengths + texts + end), texts=t
    )
    for n in (239, 240, 500, 5000):
        t = wat.Texts()
        f.add(f"a failure of {n} bytes", make(t, "b", "n", "fail", t.args("x" * n), lengths + end), texts=t)


def ranges(f):
    """Pointers and lengths that lie outside."""
    t = wat.Texts()
    for name, at, n in (
        ("past the end", 20 * 65536 - 2, 4),
        ("far outside", -16, 8),
        ("a negative length", 100, -1),
        ("wraps", -1, 2),
        ("at the end, no bytes", 20 * 65536, 0),
        ("no bytes far outside", -1, 0),
    ):
        args = f"(i32.const {at}) (i32.const {n})"
        f.add(f"response {name}", f"(call $__guest_response {args}) {GOOD}")
        f.add(f"error {name}", f"(call $__guest_error {args}) (i32.const 0)")
        f.add(f"log {name}", f"(call $__console_log {args}) {ECHO} {GOOD}", logs=False)
        t = wat.Texts()
        call = HOST.format(bd=t.args("b"), ns=t.args("n"), op=t.args("echo"), data=args)
        f.add(f"host call with a payload {name}", f"(drop {call}) {ECHO} {GOOD}", texts=t)
        t = wat.Texts()
        call = HOST.format(bd=args, ns=t.args("n"), op=t.args("echo"), data=t.args(""))
        f.add(f"host call with a binding {name}", f"(drop {call}) {ECHO} {GOOD}", texts=t)
    for at in (20 * 65536 - 2, -4, -1):
        f.add(
            f"request to {at}",
            f"(call $__guest_request (i32.const 1024) (i32.const {at})) {ECHO} {GOOD}",
            [("r", b"abcdef")],
        )
        t = wat.Texts()
        call = HOST.format(bd=t.args("b"), ns=t.args("n"), op=t.args("echo"), data=t.args("payload"))
        f.add(
            f"host response to {at}", f"(drop {call}) (call $__host_response (i32.const {at})) {ECHO} {GOOD}", texts=t
        )
        f.add(f"no host response to {at}", f"(call $__host_response (i32.const {at})) {ECHO} {GOOD}")


def logging(f):
    t = wat.Texts()
    f.add(
        "console log",
        f"(call $__console_log {t.args('a text')}) (call $__console_log {t.args('')}) {ECHO} {GOOD}",
        texts=t,
        logs=False,
    )
    t = wat.Texts()
    f.add(
        "console log of no UTF-8",
        f"(call $__console_log {t.args(bytes([97, 255]))}) {ECHO} {GOOD}",
        texts=t,
        logs=False,
    )


def starts(f):
    look = note("(global.get $c)") + f"(call $flush) {GOOD}"
    up = "(global.set $c (i64.add (i64.mul (global.get $c) (i64.const 10)) {d}))"
    glob = "(global $c (mut i64) (i64.const 0))"
    kinds = {
        "_initialize": '(func (export "_initialize") {b})',
        "_start": '(func (export "_start") {b})',
        "wapc_init": '(func (export "wapc_init") {b})',
        "start": "(func $s {b}) (start $s)",
    }
    names = list(kinds)
    for chosen in [[n] for n in names] + [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]] + [names]:
        more = glob + "".join(kinds[n].format(b=up.format(d=k(names.index(n) + 1))) for n in chosen)
        f.add("start: " + ", ".join(chosen), look, [("r", b""), ("r", b"")], more=more)
    for n in names:
        f.add(f"{n} traps", look, more=glob + kinds[n].format(b="(unreachable)"))
        for code in (0, 3):
            f.add(
                f"{n} exits with {code}",
                look,
                wasi=["proc_exit"],
                more=glob + kinds[n].format(b=f"(call $proc_exit (i32.const {code}))"),
            )
        f.add(
            f"{n} sets a response",
            look,
            more=glob + kinds[n].format(b="(call $__guest_response (i32.const 65536) (i32.const 3))"),
        )
        f.add(
            f"{n} sets an error",
            look,
            more=glob + kinds[n].format(b="(call $__guest_error (i32.const 65536) (i32.const 3))"),
        )
        f.add(
            f"{n} asks for the request",
            look,
            more=glob + kinds[n].format(b="(call $__guest_request (i32.const 0) (i32.const 8))"),
        )
        t = wat.Texts()
        call = HOST.format(bd=t.args("b"), ns=t.args("n"), op=t.args("echo"), data=t.args("hello"))
        f.add(
            f"{n} calls the host",
            note("(global.get $c)") + note32("(call $__host_response_len)") + f"(call $flush) {GOOD}",
            more=glob + kinds[n].format(b=f"(global.set $c (i64.extend_i32_u {call}))"),
            texts=t,
        )
    for kind in ("(param i32)", "(result i32) (i32.const 0)"):
        for n in ("_initialize", "_start", "wapc_init"):
            f.add(f"{n} of type {kind}", look, more=glob + f'(func (export "{n}") {kind})')
    f.add(
        "wasi_unstable",
        f"(drop (call $random_get (i32.const 0) (i32.const 8))) {ECHO} {GOOD}",
        [("r", b"abc")],
        wasi=["random_get"],
        wasi_space="wasi_unstable",
    )
    f.add("WASI without grants", note32("(call $args_sizes_get (i32.const 16) (i32.const 20))") + note32("(call $environ_sizes_get (i32.const 16) (i32.const 20))") + note32("(i32.load (i32.const 16))")
          + note32("(call $fd_prestat_get (i32.const 3) (i32.const 16))") + note32("(call $random_get (i32.const 16) (i32.const 8))") + note32("(call $sched_yield)") + f"(call $flush) {GOOD}",
          wasi=["args_sizes_get", "environ_sizes_get", "fd_prestat_get", "random_get", "sched_yield"])  # fmt: skip


def modules(f):
    guest = '(import "wapc" "__guest_response" (func $res (param i32 i32))) {more} (func (export "__guest_call") (param i32 i32) (result i32) {body} (i32.const 1))'
    f.raw(
        "no memory, no host function",
        '(module (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))',
        [("r", b"")],
    )
    f.raw(
        "no memory, a response",
        f"(module {guest.format(more='', body='(call $res (i32.const 0) (i32.const 0))')})",
        [("r", b"")],
    )
    f.raw(
        "memory under another name",
        "(module "
        + guest.format(more='(memory (export "mem") 1)', body="(call $res (i32.const 0) (i32.const 1))")
        + ")",
        [("r", b"")],
    )
    f.raw(
        "no __guest_call",
        '(module (import "wapc" "__guest_response" (func (param i32 i32))) (memory (export "memory") 1))',
        [("r", b"")],
    )
    f.raw(
        "__guest_call of another type",
        '(module (memory (export "memory") 1) (func (export "__guest_call") (param i32) (result i32) (i32.const 1)))',
        [("r", b"")],
    )
    f.raw(
        "an import that is missing",
        '(module (import "wapc" "__nope" (func)) (memory (export "memory") 1) (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))',
        [("r", b"")],
    )
    f.raw(
        "an import of another type",
        '(module (import "wapc" "__guest_response" (func (param i32))) (memory (export "memory") 1) (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))',
        [("r", b"")],
    )
    f.raw(
        "a memory of 64 bits",
        "(module "
        + guest.format(more='(memory (export "memory") i64 1)', body="(call $res (i32.const 0) (i32.const 1))")
        + ")",
        [("r", b"")],
    )
    f.raw(
        "two memories",
        "(module "
        + guest.format(
            more='(memory (export "memory") 1) (memory $m 1) (data (memory $m) (i32.const 0) "Q")',
            body="(i32.store8 (i32.const 0) (i32.load8_u $m (i32.const 0))) (call $res (i32.const 0) (i32.const 1))",
        )
        + ")",
        [("r", b"")],
    )


NOT_FOR_KITS = ("process", "config", "note", "host", "close", "reconfigure")


def kit(name):
    """A conformance guest: its host calls go to the binding "outrider", which the peer does not have. Not what answers
    nothing, either: row wapc-no-response."""
    steps = [(op, data) for op, data in KIT_STEPS if op not in NOT_FOR_KITS and (op, data) != ("init", b"{}")]
    return Case(name, "", steps, logs=False)


def cases():
    f = Family()
    for family in (results, requests, host_calls, ranges, logging, starts, modules):
        family(f)
    return f.cases
