"""Families of Extism guests made by hand. Each case: a guest, and what it is asked."""

import dataclasses

import wat

NOTE_LEN = "(call $note (call $length {}))"


@dataclasses.dataclass
class Case:
    name: str
    text: str
    steps: list  # (operation, input)
    options: dict = dataclasses.field(default_factory=dict)
    differs: str = ""  # the row of docs/abi/differences.md, where the answers are not equal
    logs: bool = True  # what it logs is compared, too
    goes_on: bool = False  # calls follow a trap without a new start


def k(value):
    return f"(i64.const {value})"


def get(slot):
    return f"(local.get $h{slot})"


def let(slot, body):
    return f"(local.set $h{slot} {body})"


def note(body):
    return f"(call $note {body})"


def note32(body):
    return f"(call $note (i64.extend_i32_u {body}))"


def rc(value=0):
    return f"(call $flush) (i32.const {value})"


DIFFERS = {  # case: its row in docs/abi/differences.md
    name: row
    for row, names in {
        "extism-after-trap": ("after a trap",),
        "extism-alloc-fails": ("alloc 67108864, limit 64 MiB", "alloc 134217728, limit 64 MiB", "alloc 4294967296, limit 64 MiB",
            "alloc 4294967295, limit 64 MiB", "alloc 1099511627776, limit 64 MiB", "all of memory", "grow past the limit"),
        "extism-alloc-huge": ("alloc 4611686018427387904, limit 64 MiB", "alloc -1, limit 64 MiB", "alloc -8, limit 64 MiB"),
        "extism-config-key": ("a key of 256 bytes",),
        "extism-env": ('space "env", prefix "extism_"', 'space "env", prefix ""'),
        "extism-answer-freed": ("output, freed, then all of memory",),
        "extism-error-escaped": ("error with invalid UTF-8", "error with line feed, ESC"),
        "extism-error-freed": ("error, freed", "exit 0, error, freed"),
        "extism-wasi-unstable": ("wasi_unstable",),
        "extism-freed-bytes": ("what a block holds that was freed before",),
        "extism-http": ("HTTP to a host that is not allowed", "HTTP with a request that is no JSON", "HTTP with an empty object",
            "HTTP with a URL that is none"),
        "extism-input-before": ("input_load_u64 over the end",),
        "extism-log-cut": ("log of 4097 bytes",),
        "extism-log-level": ("get_log_level",),
        "extism-memory-import": ("Extism memory imported",),
        "extism-not-utf8": ("a key that is no UTF-8", "config_get of no UTF-8", "log of no UTF-8"),
        "extism-operation-type": ("type: i64 0", "type: i64 1", "type: f64", "type: two results", "type: a parameter"),
        "extism-output-range": ("output negative length", "output, then one negative length"),
        "extism-start-exit": ("_initialize exits with 0", "hs_init exits with 0", "__wasm_call_ctors exits with 0"),
        "extism-start-fails": ("hs_init traps", "hs_init exits with 3", "__wasm_call_ctors traps", "__wasm_call_ctors exits with 3"),
        "extism-start-once": ("_start as operation",),
        "extism-start-two": ("start: _initialize, _start", "start: _initialize, hs_init, __wasm_call_ctors, _start, start"),
        "extism-start-type": [f"{n} of type {kind}" for n in ("hs_init", "__wasm_call_ctors")
            for kind in ("(param i32)", "(result i32)", "(param i64) (result i64)")],
        "extism-vars-count": ("a variable of 524288 bytes", "a variable of 1048476 bytes"),
        "extism-vars-full": ("a variable of 1048576 bytes", "a variable of 1048577 bytes", "a variable of 2097152 bytes",
            "1000 variables of 2000 bytes"),
    }.items()
    for name in names
}  # fmt: skip


class Family:
    def __init__(self):
        self.cases = []

    def add(self, name, ops, steps=None, texts=None, options=None, logs=True, goes_on=False, **how):
        """`ops`: a body, or several by name; without `steps` each is asked once, with no input."""
        ops = ops if isinstance(ops, dict) else {"run": ops}
        steps = steps or [(op, b"") for op in ops]
        text = wat.extism(ops, texts, **how)
        self.cases.append(Case(name, text, steps, options or {}, DIFFERS.get(name, ""), logs, goes_on))

    def raw(self, name, text, steps, options=None):
        self.cases.append(Case(name, text, steps, options or {}, DIFFERS.get(name, "")))


def exits(f):
    """The result of a function, the text it set, and a trap, in every order."""
    for code in (0, 1, 2, -1, 255, 2147483647):
        t = wat.Texts()
        f.add(f"exit {code}", f"(i32.const {code})", [("run", b""), ("run", b"x")])
        f.add(f"exit {code}, output", f"(call $echo) (i32.const {code})", [("run", b"abc"), ("run", b"")])
        f.add(f"exit {code}, error", f"(call $error_set {t.block('bad')}) (i32.const {code})", texts=t)
        t = wat.Texts()
        body = f"(call $echo) (call $error_set {t.block('bad')}) (i32.const {code})"
        f.add(f"exit {code}, output, error", body, [("run", b"abc"), ("run", b"d")], texts=t)
        t = wat.Texts()
        body = f"(call $error_set {t.block('bad')}) (call $error_set (i64.const 0)) (i32.const {code})"
        f.add(f"exit {code}, error taken back", body, texts=t)
    t = wat.Texts()
    f.add("two errors", f"(call $error_set {t.block('one')}) (call $error_set {t.block('two')}) (i32.const 1)", texts=t)
    t = wat.Texts()
    f.add("error, trap", f"(call $error_set {t.block('bad')}) (unreachable)", texts=t)
    f.add("output, trap", "(call $echo) (unreachable)", [("run", b"abc"), ("run", b"")])
    t = wat.Texts()
    body = let(0, t.block("bad")) + f"(call $error_set {get(0)}) (call $free {get(0)}) (i32.const 1)"
    f.add("error, freed", body, texts=t)
    t = wat.Texts()
    body = let(0, t.block("bad")) + f"(call $error_set {get(0)}) (call $store_u8 {get(0)} (i32.const 77)) (i32.const 1)"
    f.add("error, changed afterwards", body, texts=t)
    t = wat.Texts()
    body = f"(call $error_set {t.block('bad')})" + note("(call $length (call $error_get))") + rc()
    f.add("error_get", body, texts=t, rare=["error_get"])
    for n in (100, 239, 240, 241, 478, 479, 480, 481, 5000):
        t = wat.Texts()
        f.add(f"error of {n} bytes", f"(call $error_set {t.block('x' * n)}) (i32.const 1)", texts=t)
    for name, data in (
        ("invalid UTF-8", b"a\xff\xfeb"),
        ("a NUL", b"a\0b"),
        ("line feed, ESC", b"a\n\x1b[31mb"),
        ("UTF-8", "é€🦀".encode()),
    ):
        t = wat.Texts()
        f.add(f"error with {name}", f"(call $error_set {t.block(data)}) (i32.const 1)", texts=t)
    f.add("error_set of no handle", "(call $error_set (i64.const 123456)) (i32.const 1)")
    f.add("error_set of no handle, exit 0", "(call $error_set (i64.const 123456)) (i32.const 0)")
    f.add("error of an empty block", "(call $error_set (call $alloc (i64.const 0))) (i32.const 1)")
    f.add("error then a good call", {"bad": "(call $error_set (call $put (i32.const 65536) (i32.const 3))) (i32.const 1)", "good": "(call $echo) (i32.const 0)"},
          [("good", b"a"), ("bad", b""), ("good", b"b"), ("bad", b""), ("good", b"")])  # fmt: skip
    for code in (0, 1, 3, 255, 256):
        f.add(f"proc_exit {code}", f"(call $proc_exit (i32.const {code})) (unreachable)", wasi=["proc_exit"])
        f.add(
            f"output, proc_exit {code}",
            f"(call $echo) (call $proc_exit (i32.const {code})) (unreachable)",
            [("run", b"abc")],
            wasi=["proc_exit"],
        )
        t = wat.Texts()
        f.add(
            f"error, proc_exit {code}",
            f"(call $error_set {t.block('bad')}) (call $proc_exit (i32.const {code})) (unreachable)",
            texts=t,
            wasi=["proc_exit"],
        )
    for name, result, body in (
        ("no result", "", "(call $echo)"), ("i64 0", "(result i64)", "(call $echo) (i64.const 0)"),
        ("i64 1", "(result i64)", "(call $echo) (i64.const 1)"), ("f64", "(result f64)", "(call $echo) (f64.const 0)"),
        ("two results", "(result i32 i32)", "(call $echo) (i32.const 0) (i32.const 0)"),
        ("a parameter", "(param i32) (result i32)", "(call $echo) (i32.const 0)"),
    ):  # fmt: skip
        f.add(f"type: {name}", body, [("run", b"abc")], results={"run": result})
    t = wat.Texts()
    f.add("no result, error", f"(call $error_set {t.block('bad')})", texts=t, results={"run": ""})
    f.add("no such operation", "(i32.const 0)", [("walk", b""), ("run", b""), ("memory", b"")])
    f.add("traps", {"unreachable": "(unreachable)", "divide": "(i32.div_u (i32.const 1) (local.get $i))",
                    "load": "(i32.load (i32.const -4))", "table": "(i32.trunc_f32_u (f32.const nan))"})  # fmt: skip
    f.add("deep recursion", "(call $deep) (i32.const 0)", more="(func $deep (call $deep) (call $deep))")
    f.add("after a trap", {"count": note("(global.get $n)") + rc(), "trap": "(unreachable)", "up": "(global.set $n (i64.add (global.get $n) (i64.const 1))) (i32.const 0)"},
          [("up", b""), ("count", b""), ("trap", b""), ("count", b"")], goes_on=True, more="(global $n (mut i64) (i64.const 5))")  # fmt: skip


def freed(f):
    t = wat.Texts()
    body = let(0, t.block("bad")) + f"(call $error_set {get(0)}) (call $free {get(0)}) (i32.const 0)"
    f.add("exit 0, error, freed", body, texts=t)
    t = wat.Texts()
    body = let(0, t.block("x" * 1000)) + f"(call $output_set {get(0)} (i64.const 3)) (call $free {get(0)})"
    body += "(block $done (loop $next (br_if $done (i32.ge_u (local.get $i) (i32.const 400)))"
    body += f"(drop {t.block('y' * 1000)})"
    body += "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br $next))) (i32.const 0)"
    f.add("output, freed, then all of memory", body, texts=t)
    how = {"wasi": ["random_get"], "wasi_space": "wasi_unstable"}
    f.add("wasi_unstable", "(drop (call $random_get (i32.const 0) (i32.const 8))) (i32.const 0)", **how)


def memory(f):
    for n in (0, 1, 7, 8, 9, 63, 64, 65, 1000, 65535, 65536, 65537, 1 << 20):
        body = (
            let(0, f"(call $alloc {k(n)})") + note(f"(call $length {get(0)})") + note(f"(call $length_unsafe {get(0)})")
        )
        body += note(f"(i64.extend_i32_u (i64.eqz {get(0)}))") + rc()
        f.add(f"alloc {n}", body, [("run", b""), ("run", b"x")])
    for n in (1 << 26, (1 << 27), 1 << 32, (1 << 32) - 1, 1 << 40, 1 << 62, -1, -8):
        body = let(0, f"(call $alloc {k(n)})") + note(f"(i64.extend_i32_u (i64.eqz {get(0)}))") + rc()
        f.add(f"alloc {n}, limit 64 MiB", body, options={"pages": 1024})
    f.add(
        "length of no handle",
        "".join(note(f"(call $length {k(v)})") for v in (0, 1, 8, 64, 100, 512, 70000, 1 << 33, -1, -8)) + rc(),
    )
    f.add("length_unsafe of no handle", "".join(note(f"(call $length_unsafe {k(v)})") for v in (0, 1 << 33, -1)) + rc())
    f.add(
        "length_unsafe below the first block", "".join(note(f"(call $length_unsafe {k(v)})") for v in (1, 8, 64)) + rc()
    )
    body = let(0, "(call $alloc (i64.const 32))") + note(f"(call $length (i64.add {get(0)} (i64.const 1)))")
    body += note(f"(call $length (i64.add {get(0)} (i64.const 8)))") + rc()
    f.add("length within a block", body)
    body = let(0, "(call $alloc (i64.const 32))") + f"(call $free {get(0)})" + note(f"(call $length {get(0)})")
    f.add("length after free", body + rc())
    body = let(0, "(call $alloc (i64.const 32))") + f"(call $free {get(0)}) (call $free {get(0)})"
    body += let(1, "(call $alloc (i64.const 32))") + let(2, "(call $alloc (i64.const 32))")
    f.add("free twice", body + note32(f"(i64.eq {get(1)} {get(2)})") + note(f"(call $length {get(1)})") + rc())
    f.add(
        "free of no handle",
        "".join(f"(call $free {k(v)})" for v in (0, 1, 7, 100, 70000, 1 << 40, -1)) + note(k(7)) + rc(),
    )
    body = (
        let(0, "(call $alloc (i64.const 64))")
        + f"(call $free (i64.add {get(0)} (i64.const 8)))"
        + note(f"(call $length {get(0)})")
    )
    f.add("free within a block", body + rc())
    body = (
        "".join(let(i, f"(call $alloc {k(100 * (i + 1))})") for i in range(4))
        + f"(call $free {get(1)})"
        + let(4, "(call $alloc (i64.const 150))")
    )
    body += "".join(note(f"(call $length {get(i)})") for i in (0, 2, 3, 4)) + rc()
    f.add("a block freed between others", body)
    body = let(0, "(call $alloc (i64.const 16))") + f"(call $store_u64 {get(0)} (i64.const 0x1122334455667788))"
    body += "".join(note32(f"(call $load_u8 (i64.add {get(0)} {k(i)}))") for i in range(16)) + note(
        f"(call $load_u64 {get(0)})"
    )
    body += note(f"(call $load_u64 (i64.add {get(0)} (i64.const 3)))") + f"(call $store_u8 {get(0)} (i32.const 511))"
    f.add("stores and loads", body + note(f"(call $load_u64 {get(0)})") + rc())
    outside = (0, 1 << 33, 1 << 40, -1, -7, -8, -9)
    f.add(
        "load outside",
        "".join(note32(f"(call $load_u8 {k(v)})") + note(f"(call $load_u64 {k(v)})") for v in outside) + rc(),
    )
    f.add(
        "store outside",
        "".join(f"(call $store_u8 {k(v)} (i32.const 1)) (call $store_u64 {k(v)} (i64.const 1))" for v in outside[1:])
        + note(k(1))
        + rc(),
    )
    f.add("fresh blocks are zero", let(0, "(call $alloc (i64.const 64))") + "".join(note(f"(call $load_u64 (i64.add {get(0)} {k(8 * i)}))") for i in range(8)) + f"(call $store_u64 {get(0)} (i64.const -1))" + rc(),
          [("run", b""), ("run", b"x" * 8), ("run", b"")])  # fmt: skip
    f.add("blocks of the call before are gone", {"keep": let(0, "(call $alloc (i64.const 40))") + f"(global.set $kept {get(0)}) (i32.const 0)",
          "look": note("(call $length (global.get $kept))") + rc()}, [("keep", b""), ("look", b""), ("keep", b"abc"), ("look", b"")],
          more="(global $kept (mut i64) (i64.const 0))")  # fmt: skip
    body = (
        let(0, "(call $put (i32.const 65536) (i32.const 64))")
        + f"(call $free {get(0)})"
        + let(1, "(call $alloc (i64.const 64))")
        + note(f"(call $load_u64 (i64.add {get(1)} (i64.const 16)))")
        + rc()
    )
    t = wat.Texts()
    t.place("z" * 64)
    f.add("what a block holds that was freed before", body, texts=t)
    body = "(block $done (loop $next (br_if $done (i64.eqz (call $alloc (i64.const 1048576)))) (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    body += (
        " (br_if $done (i32.gt_u (local.get $i) (i32.const 1000))) (br $next)))"
        + note32("(i32.gt_u (local.get $i) (i32.const 1000))")
        + rc()
    )
    f.add("all of memory", body, [("run", b""), ("run", b"")], options={"pages": 256})
    body = note32("(i32.eq (memory.grow (i32.const 1000)) (i32.const -1))") + rc()
    f.add("grow past the limit", body, options={"pages": 256})
    body = note32("(i32.eq (memory.grow (i32.const 100)) (i32.const -1))") + rc()
    f.add("grow within the limit", body, options={"pages": 256})


def inputs(f):
    for n in (0, 1, 7, 8, 9, 16, 100, 65535, 65536, 65537):
        data = bytes(i * 7 & 255 for i in range(n))
        body = (
            note("(call $input_length)")
            + note32("(i64.eqz (call $input_offset))")
            + note("(call $length (call $input_offset))")
        )
        body += "".join(
            note32(f"(call $input_load_u8 {k(v)})") for v in (0, 1, 6, 7, 8, n - 1 if n else 0, n, n + 1, 1 << 33, -1)
        )
        body += "".join(note(f"(call $input_load_u64 {k(v)})") for v in (0, 1, n - 8 if n >= 8 else 0))
        f.add(f"input of {n} bytes", body + rc(), [("run", data), ("run", data[: n // 2])])
        f.add(f"echo of {n} bytes", "(call $echo) (i32.const 0)", [("run", data), ("run", b""), ("run", data)])
    f.add(
        "input_load_u64 over the end",
        "".join(note(f"(call $input_load_u64 {k(v)})") for v in (1, 7, 8, 9, 100, -1)) + rc(),
        [("run", b"abcdefgh"), ("run", b"abc")],
    )
    f.add(
        "input of every byte",
        "(call $echo) (i32.const 0)",
        [("run", bytes(range(256))), ("run", b"\xff\xfe\x80"), ("run", b"\0\0")],
    )
    f.add(
        "the input itself as output",
        "(call $output_set (call $input_offset) (call $input_length)) (i32.const 0)",
        [("run", b"abcdef"), ("run", b"")],
    )
    f.add(
        "free the input",
        "(call $free (call $input_offset))" + note("(call $input_length)") + rc(),
        [("run", b"abcdef")],
    )
    f.add(
        "free the input, then load",
        "(call $free (call $input_offset))" + note32("(call $input_load_u8 (i64.const 0))") + rc(),
        [("run", b"abcdef")],
    )
    f.add(
        "store into the input",
        "(call $store_u8 (call $input_offset) (i32.const 90)) (call $echo) (i32.const 0)",
        [("run", b"abc"), ("run", b"abc")],
    )
    big = bytes(range(256)) * 4096
    f.add(
        "echo of 1 MiB",
        "(call $output_set (call $input_offset) (call $input_length)) (i32.const 0)",
        [("run", big), ("run", b"a"), ("run", big)],
    )
    f.add(
        "an input beyond memory",
        "(call $echo) (i32.const 0)",
        [("run", b"x" * (3 << 20)), ("run", b"a")],
        options={"pages": 20},
    )


def outputs(f):
    block = let(0, "(call $put (i32.const 65536) (i32.const 8))")
    t = lambda: [t for t in [wat.Texts()] if t.place("abcdefgh")][0]  # noqa: E731
    f.add("no output", "(i32.const 0)", [("run", b"abc")])
    f.add(
        "several outputs",
        block + f"(call $output_set {get(0)} (i64.const 8)) (call $output_set {get(0)} (i64.const 3)) (i32.const 0)",
        texts=t(),
    )
    f.add(
        "output within a block",
        block + f"(call $output_set (i64.add {get(0)} (i64.const 2)) (i64.const 4)) (i32.const 0)",
        texts=t(),
    )
    f.add(
        "output of no bytes",
        block + f"(call $output_set {get(0)} (i64.const 8)) (call $output_set {get(0)} (i64.const 0)) (i32.const 0)",
        texts=t(),
    )
    f.add(
        "output 0, 0",
        block
        + f"(call $output_set {get(0)} (i64.const 8)) (call $output_set (i64.const 0) (i64.const 0)) (i32.const 0)",
        texts=t(),
    )
    f.add(
        "output, then free",
        block + f"(call $output_set {get(0)} (i64.const 8)) (call $free {get(0)}) (i32.const 0)",
        texts=t(),
    )
    f.add(
        "output, then change",
        block + f"(call $output_set {get(0)} (i64.const 8)) (call $store_u8 {get(0)} (i32.const 90)) (i32.const 0)",
        texts=t(),
    )
    f.add(
        "output of the call before",
        {"set": block + f"(call $output_set {get(0)} (i64.const 8)) (i32.const 0)", "none": "(i32.const 0)"},
        [("set", b""), ("none", b""), ("set", b"")],
        texts=t(),
    )
    for name, at, n in (
        ("past the end", "(i64.const 0)", 1 << 40),
        ("at no place", k(1 << 40), 8),
        ("negative", k(-8), 8),
        ("negative length", get(0), -1),
        ("wraps", get(0), -16),
    ):
        f.add(f"output {name}", block + f"(call $output_set {at} {k(n)}) (i32.const 0)", texts=t())
        f.add(
            f"output, then one {name}",
            block + f"(call $output_set {get(0)} (i64.const 8)) (call $output_set {at} {k(n)}) (i32.const 0)",
            texts=t(),
        )


def variables(f):
    def fam(name, make, steps, **how):
        t = wat.Texts()
        f.add(name, make(t), steps, texts=t, **how)

    show = (
        lambda t, key: let(0, f"(call $var_get {t.block(key)})")
        + NOTE_LEN.format(get(0))
        + note(f"(call $load_u64 {get(0)})")
        + rc()
    )  # noqa: E731
    fam("variables live on", lambda t: {"set": f"(call $var_set {t.block('k')} (call $put (i32.const 65537) (i32.const 9))) (i32.const 0)", "get": show(t, "k") if t.place("123456789") else ""},
        [("get", b""), ("set", b""), ("get", b""), ("get", b"")])  # fmt: skip
    fam("a variable is removed", lambda t: {"set": f"(call $var_set {t.block('k')} {t.block('123456789')}) (i32.const 0)", "no": f"(call $var_set {t.block('k')} (i64.const 0)) (i32.const 0)", "get": show(t, "k")},
        [("no", b""), ("set", b""), ("get", b""), ("no", b""), ("get", b"")])  # fmt: skip
    fam("an empty variable", lambda t: {"set": f"(call $var_set {t.block('k')} {t.block('123456789')}) (i32.const 0)", "empty": f"(call $var_set {t.block('k')} (call $alloc (i64.const 0))) (i32.const 0)",
        "get": note(f"(call $length (call $var_get {t.block('k')}))") + rc()}, [("set", b""), ("empty", b""), ("get", b"")])  # fmt: skip
    fam(
        "a variable is set twice",
        lambda t: f"(call $var_set {t.block('k')} {t.block('12345678')}) (call $var_set {t.block('k')} {t.block('abcdefghij')})"
        + show(t, "k"),
        [("run", b""), ("run", b"")],
    )
    fam(
        "keys differ by case and length",
        lambda t: f"(call $var_set {t.block('k')} {t.block('12345678')})"
        + note(f"(call $length (call $var_get {t.block('K')}))")
        + note(f"(call $length (call $var_get {t.block('kk')}))")
        + rc(),
        [("run", b"")],
    )
    fam(
        "variables after an error",
        lambda t: {
            "set": f"(call $var_set {t.block('k')} {t.block('12345678')}) (call $error_set {t.block('bad')}) (i32.const 1)",
            "get": show(t, "k"),
        },
        [("set", b""), ("get", b"")],
    )
    fam(
        "var_get of no handle",
        lambda t: note("(call $length (call $var_get (i64.const 123456)))") + rc(),
        [("run", b"")],
    )
    fam("var_get of 0", lambda t: note("(call $length (call $var_get (i64.const 0)))") + rc(), [("run", b"")])
    fam(
        "var_set of no key",
        lambda t: f"(call $var_set (i64.const 0) {t.block('v')})" + note(k(1)) + rc(),
        [("run", b"")],
    )
    fam(
        "var_set of no handle",
        lambda t: f"(call $var_set {t.block('k')} (i64.const 123456))" + note(k(1)) + rc(),
        [("run", b"")],
    )
    fam(
        "a key that is no UTF-8",
        lambda t: f"(call $var_set {t.block(bytes([255, 254]))} {t.block('v')})" + note(k(1)) + rc(),
        [("run", b"")],
    )
    fam(
        "a key with a NUL",
        lambda t: f"(call $var_set {t.block(b'a' + bytes(1))} {t.block('12345678')})"
        + note(f"(call $length (call $var_get {t.block('a')}))")
        + note(f"(call $length (call $var_get {t.block(b'a' + bytes(1))}))")
        + rc(),
        [("run", b"")],
    )
    fam(
        "the key's block after var_set",
        lambda t: let(0, t.block("k"))
        + let(1, t.block("value678"))
        + f"(call $var_set {get(0)} {get(1)})"
        + note(f"(call $length {get(0)})")
        + note(f"(call $length {get(1)})")
        + rc(),
        [("run", b"")],
    )
    fam(
        "the key's block after var_get",
        lambda t: let(0, t.block("k")) + let(1, f"(call $var_get {get(0)})") + note(f"(call $length {get(0)})") + rc(),
        [("run", b"")],
    )
    fam(
        "the key's block after config_get",
        lambda t: let(0, t.block("k"))
        + let(1, f"(call $config_get {get(0)})")
        + note(f"(call $length {get(0)})")
        + rc(),
        [("run", b"")],
    )
    fam(
        "the text's block after log",
        lambda t: let(0, t.block("k")) + f"(call $log_info {get(0)})" + note(f"(call $length {get(0)})") + rc(),
        [("run", b"")],
    )
    fam(
        "the text's block after error_set",
        lambda t: let(0, t.block("k"))
        + f"(call $error_set {get(0)})"
        + note(f"(call $length {get(0)})")
        + "(call $error_set (i64.const 0))"
        + rc(),
        [("run", b"")],
    )
    for n in (1 << 19, (1 << 20) - 100, 1 << 20, (1 << 20) + 1, 2 << 20):
        fam(
            f"a variable of {n} bytes",
            lambda t, n=n: f"(call $var_set {t.block('k')} (call $alloc {k(n)}))"
            + note(f"(call $length (call $var_get {t.block('k')}))")
            + rc(),
            [("run", b""), ("run", b"")],
        )
    many = "(block $done (loop $next (br_if $done (i32.ge_u (local.get $i) (i32.const {n})))(i32.store8 (i32.const 100) (local.get $i)) (i32.store8 (i32.const 101) (i32.add (i32.const 1) (i32.shr_u (local.get $i) (i32.const 7))))(i32.store8 (i32.const 100) (i32.and (local.get $i) (i32.const 127)))"
    many += "(call $var_set (call $put (i32.const 100) (i32.const 2)) (call $alloc (i64.const {size}))) (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $next)))"
    for n, size in ((100, 1000), (1000, 100), (1000, 1), (1000, 2000)):
        fam(
            f"{n} variables of {size} bytes",
            lambda t, n=n, size=size: many.format(n=n, size=size) + note(k(1)) + rc(),
            [("run", b"")],
        )


def settings(f):
    def fam(name, make, config, **how):
        t = wat.Texts()
        f.add(name, make(t), [("run", b"")], texts=t, options={"config": config}, **how)

    one = (
        lambda t, key: let(0, f"(call $config_get {t.block(key)})")
        + NOTE_LEN.format(get(0))
        + note(f"(call $load_u64 {get(0)})")
        + rc()
    )  # noqa: E731
    fam("a setting", lambda t: one(t, "key"), {"key": "value 12", "other": "x"})
    fam("no such setting", lambda t: note(f"(call $length (call $config_get {t.block('nope')}))") + rc(), {"key": "v"})
    fam("an empty setting", lambda t: note(f"(call $length (call $config_get {t.block('key')}))") + rc(), {"key": ""})
    fam("a setting of UTF-8", lambda t: one(t, "kéy"), {"kéy": "wärt€🦀"})
    fam("a long key", lambda t: one(t, "k" * 255), {"k" * 255: "value 12"})
    fam("a key of 256 bytes", lambda t: one(t, "k" * 256), {"k" * 256: "value 12"})
    fam("a large setting", lambda t: one(t, "key"), {"key": "0123456789" * 10000})
    fam(
        "config_get of no handle",
        lambda t: note("(call $length (call $config_get (i64.const 123456)))") + rc(),
        {"key": "v"},
    )
    fam("config_get of 0", lambda t: note("(call $length (call $config_get (i64.const 0)))") + rc(), {"key": "v"})
    fam(
        "config_get of no UTF-8",
        lambda t: note(f"(call $length (call $config_get {t.block(bytes([255]))}))") + rc(),
        {"key": "v"},
    )
    for level in ("trace", "debug", "info", "warn", "error"):
        fam(
            f"log_{level}",
            lambda t,
            level=level: f"(call $log_{level} {t.block('a text')}) (call $log_{level} {t.block('two')}) (i32.const 0)",
            {},
        )
    fam("log of no handle", lambda t: "(call $log_info (i64.const 123456)) (i32.const 0)", {})
    fam("log of 0", lambda t: "(call $log_info (i64.const 0)) (i32.const 0)", {})
    fam("log of an empty block", lambda t: "(call $log_info (call $alloc (i64.const 0))) (i32.const 0)", {})
    fam("log of two lines", lambda t: f"(call $log_info {t.block(chr(10).join('ab'))}) (i32.const 0)", {})
    fam("log of no UTF-8", lambda t: f"(call $log_info {t.block(bytes([97, 255, 98]))}) (i32.const 0)", {})
    fam("log of 4096 bytes", lambda t: f"(call $log_info {t.block('x' * 4096)}) (i32.const 0)", {})
    fam("log of 4097 bytes", lambda t: f"(call $log_info {t.block('x' * 4097)}) (i32.const 0)", {})
    fam("get_log_level", lambda t: note32("(call $get_log_level)") + rc(), {}, rare=["get_log_level"])


def http(f):
    def fam(name, request, after=""):
        t = wat.Texts()
        body = let(0, f"(call $http_request {t.block(request)} (i64.const 0))") + (
            after or note(f"(call $length {get(0)})") + note32("(call $http_status_code)") + rc()
        )
        f.add(name, body, [("run", b""), ("run", b"")], texts=t)

    fam("HTTP to a host that is not allowed", '{"url":"http://127.0.0.1:9/"}')
    fam("HTTP with a request that is no JSON", "{")
    fam("HTTP with an empty object", "{}")
    fam("HTTP with a URL that is none", '{"url":"::"}')
    f.add("HTTP of no handle", note("(call $length (call $http_request (i64.const 123456) (i64.const 0)))") + rc())
    f.add("http_status_code before any", note32("(call $http_status_code)") + rc())
    f.add("http_headers before any", note("(call $length (call $http_headers))") + rc(), rare=["http_headers"])


def starts(f):
    look = note("(global.get $n)") + rc()
    kinds = {"_initialize": "(func (export \"_initialize\") {b})", "hs_init": "(func (export \"hs_init\") (param i32 i32) {b})", "__wasm_call_ctors": "(func (export \"__wasm_call_ctors\") {b})",
             "_start": "(func (export \"_start\") {b})", "start": "(func $s {b}) (start $s)"}  # fmt: skip
    up = "(global.set $n (i64.add (i64.mul (global.get $n) (i64.const 10)) {d}))"
    names = list(kinds)
    for chosen in [[n] for n in names] + [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]] + [names]:
        more = "(global $n (mut i64) (i64.const 0))" + "".join(
            kinds[n].format(b=up.format(d=k(names.index(n) + 1))) for n in chosen
        )
        f.add("start: " + ", ".join(chosen), look, [("run", b""), ("run", b"")], more=more)
    for n in names:
        f.add(
            f"{n} traps",
            look,
            [("run", b"")],
            more="(global $n (mut i64) (i64.const 0))" + kinds[n].format(b="(unreachable)"),
        )
        f.add(
            f"{n} exits with 0",
            look,
            [("run", b"")],
            wasi=["proc_exit"],
            more="(global $n (mut i64) (i64.const 0))" + kinds[n].format(b="(call $proc_exit (i32.const 0))"),
        )
        f.add(
            f"{n} exits with 3",
            look,
            [("run", b"")],
            wasi=["proc_exit"],
            more="(global $n (mut i64) (i64.const 0))" + kinds[n].format(b="(call $proc_exit (i32.const 3))"),
        )
        f.add(
            f"{n} sets an error",
            look,
            [("run", b"")],
            more="(global $n (mut i64) (i64.const 0))"
            + kinds[n].format(b="(call $error_set (call $put (i32.const 65536) (i32.const 3)))"),
        )
        f.add(
            f"{n} sets an output",
            look.replace("(call $flush)", ""),
            [("run", b"")],
            more="(global $n (mut i64) (i64.const 0))"
            + kinds[n].format(b="(call $output_set (call $put (i32.const 65536) (i32.const 3)) (i64.const 3))"),
        )
        # None that sets a variable: libextism ends with a signal, or never.
    f.add(
        "_start as operation",
        look,
        [("_start", b""), ("run", b""), ("_start", b""), ("run", b"")],
        goes_on=True,
        more="(global $n (mut i64) (i64.const 7))" + kinds["_start"].format(b=up.format(d=k(1))),
    )
    for kind in ("(param i32)", "(result i32)", "(param i64) (result i64)"):
        value = "" if "result" not in kind else ("(i64.const 0)" if "(result i64)" in kind else "(i32.const 0)")
        for n in ("_initialize", "__wasm_call_ctors", "hs_init"):
            f.add(
                f"{n} of type {kind}",
                look,
                [("run", b"")],
                more=f'(global $n (mut i64) (i64.const 0))(func (export "{n}") {kind} {value})',
            )


def generations(f):
    """The older names of the same functions."""
    for prefix in ("extism_", ""):
        t = wat.Texts()
        body = {
            "run": "(call $echo) (i32.const 0)",
            "bad": f"(call $error_set {t.block('bad')}) (i32.const 1)",
            "log": f"(call $log_info {t.block('hello')}) (i32.const 0)",
        }
        f.add(
            f'space "env", prefix "{prefix}"',
            body,
            [("run", b"abc"), ("bad", b""), ("log", b"")],
            texts=t,
            space="env",
            prefix=prefix,
        )
    f.raw(
        "an import that is missing",
        '(module (import "extism:host/env" "nope" (func)) (func (export "run") (result i32) (i32.const 0)))',
        [("run", b"")],
    )
    f.raw(
        "a user function that is missing",
        '(module (import "extism:host/user" "nope" (func)) (func (export "run") (result i32) (i32.const 0)))',
        [("run", b"")],
    )
    f.raw(
        "an import of another type",
        '(module (import "extism:host/env" "alloc" (func (param i32) (result i32))) (func (export "run") (result i32) (i32.const 0)))',
        [("run", b"")],
    )
    f.raw(
        "a module without imports",
        '(module (func (export "run") (result i32) (i32.const 0)) (func (export "bad") (result i32) (i32.const 7)))',
        [("run", b""), ("bad", b"")],
        options={"abi": "extism"},
    )
    f.raw(
        "a module without memory",
        '(module (import "extism:host/env" "input_length" (func $n (result i64))) (func (export "run") (result i32) (i32.wrap_i64 (call $n))))',
        [("run", b""), ("run", b"abc")],
    )
    f.raw("Extism memory imported", '(module (import "extism:host/env" "memory" (memory 1)) (import "extism:host/env" "input_offset" (func $o (result i64))) (import "extism:host/env" "output_set" (func $s (param i64 i64)))'
          '(func (export "run") (result i32) (i32.store8 (i32.wrap_i64 (call $o)) (i32.const 90)) (call $s (call $o) (i64.const 3)) (i32.const 0)))', [("run", b"abc")])  # fmt: skip
    f.raw("two memories", '(module (import "extism:host/env" "output_set" (func $s (param i64 i64))) (import "extism:host/env" "alloc" (func $a (param i64) (result i64))) (import "extism:host/env" "store_u8" (func $w (param i64 i32)))'
          '(memory $m 1) (memory $n 1) (data (memory $n) (i32.const 0) "Q") (func (export "run") (result i32) (local $h i64) (local.set $h (call $a (i64.const 1)))'
          "(call $w (local.get $h) (i32.load8_u $n (i32.const 0))) (call $s (local.get $h) (i64.const 1)) (i32.const 0)))", [("run", b""), ("run", b"")])  # fmt: skip


def printing(f):
    t = wat.Texts()
    t.place("hello\n")
    body = (
        "(i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (i32.const 6))"
        + note32("(call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))")
        + note32("(i32.load (i32.const 24))")
        + rc()
    )
    f.add("fd_write to standard output", body, [("run", b"")], texts=t, wasi=["fd_write"], logs=False)
    body = (
        note32("(call $args_sizes_get (i32.const 16) (i32.const 20))")
        + note32("(i32.load (i32.const 16))")
        + note32("(call $environ_sizes_get (i32.const 16) (i32.const 20))")
        + note32("(i32.load (i32.const 16))")
    )
    body += (
        note32("(call $fd_prestat_get (i32.const 3) (i32.const 16))")
        + note32("(call $random_get (i32.const 16) (i32.const 8))")
        + note32("(call $sched_yield)")
        + rc()
    )
    f.add(
        "WASI without grants",
        body,
        [("run", b"")],
        wasi=["args_sizes_get", "environ_sizes_get", "fd_prestat_get", "random_get", "sched_yield"],
    )


def ends(f):
    loop = "(loop $l (br $l)) (i32.const 0)"
    f.add(
        "a loop",
        {"run": loop, "good": "(call $echo) (i32.const 0)"},
        [("good", b"a"), ("run", b""), ("good", b"b")],
        options={"timeout": 300},
    )


KIT_STEPS = [
    ("info", b""), ("subscriptions", b""), ("init", b"{}"), ("init", b"7"), ("process", b'{"id":7,"data":{"a":[1,2]}}'),
    ("process", b"{}"), ("echo", b""), ("echo", b"abc"), ("echo", bytes(range(256))), ("echo", bytes(range(256)) * 300),
    ("fail", b""), ("config", b"key"), ("config", b"nothing"), ("note", "hé€🦀".encode()), ("count", b""), ("count", b""),
    ("reconfigure", b'{"a":2}'), ("reconfigure", b"x"), ("host", b"kv.delete\nkey"), ("close", b""), ("trap", b""), ("count", b""),
]  # fmt: skip


def kit(name):
    """A conformance guest (tests/guests/README.md): what it prints by WASI is logged here, and printed there."""
    return Case(
        name,
        "",
        [*KIT_STEPS, ("vars", b""), ("vars", b"")],
        {"config": {"key": "a value"}, "pages": 2048},
        logs=name != "go",
    )


def cases():
    f = Family()
    for family in (
        exits,
        freed,
        memory,
        inputs,
        outputs,
        variables,
        settings,
        http,
        starts,
        generations,
        printing,
        ends,
    ):
        family(f)
    return f.cases
