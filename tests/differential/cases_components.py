"""Components made by hand: one core module whose function answers as the case says, lifted in each shape an operation
may have. They are text, which both sides read."""

from cases_extism import KIT_STEPS, Case
from wat import quote

# Core results: list<u8> and string give the address of (at, n); result<…> that of (tag, at, n).
SHAPES = {
    "bytes-or-error": (
        "(param i32 i32) (result i32)",
        '(param "in" (list u8)) (result (result (list u8) (error string)))',
    ),
    "bytes": ("(param i32 i32) (result i32)", '(param "in" (list u8)) (result (list u8))'),
    "nothing-or-error": ("(param i32 i32) (result i32)", '(param "in" string) (result (result (error string)))'),
    "text-or-error": ("(param i32 i32) (result i32)", '(param "in" string) (result (result string (error string)))'),
    "text": ("(result i32)", "(result string)"),
    "nothing": ("", ""),
}
HELP = """
(global $free (mut i32) (i32.const 4096))
(func (export "realloc") (param $old i32) (param $n_old i32) (param $align i32) (param $n i32) (result i32) (local $at i32)
  {realloc}
  (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
  (global.set $free (i32.add (local.get $at) (local.get $n)))
  (block $done (loop $more
    (br_if $done (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
    (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
    (br $more)))
  (local.get $at))
(func $pair (param $at i32) (param $n i32) (result i32)
  (i32.store (i32.const 16) (local.get $at)) (i32.store (i32.const 20) (local.get $n)) (i32.const 16))
(func $result (param $tag i32) (param $at i32) (param $n i32) (result i32)
  (i32.store (i32.const 16) (local.get $tag)) (i32.store (i32.const 20) (local.get $at))
  (i32.store (i32.const 24) (local.get $n)) (i32.const 16))
"""


def component(shape, body, text=b"", more="", after="", memory="1", realloc=""):
    core, lifted = SHAPES[shape]
    names = "(param $at i32) (param $n i32)" + core.removeprefix("(param i32 i32)") if "param" in core else core
    post = "" if not after else f'(func (export "after") {"(param i32)" if "result" in core else ""} {after})'
    return f"""(component
  (core module $m (memory (export "memory") {memory}) {HELP.format(realloc=realloc)}
    {more} (func (export "run") {names} {body}) {post}
    (data (i32.const 1024) "{quote(text)}"))
  (core instance $i (instantiate $m))
  (func (export "run") {lifted} (canon lift (core func $i "run") (memory $i "memory") (realloc (func $i "realloc"))
    {'(post-return (func $i "after"))' if after else ""})))"""


class Family:
    def __init__(self):
        self.cases = []

    def add(self, name, text, steps, options=None):
        self.cases.append(Case(name, text, steps, options or {}, DIFFERS.get(name, "")))


DIFFERS = {  # case: its row in docs/abi/differences.md
    f"{shape}: error b'a\\nb'": "wit-error-escaped" for shape in ("bytes-or-error", "nothing-or-error", "text-or-error")
}


def answers(f):
    echo = {"bytes-or-error": "(call $result (i32.const 0) (local.get $at) (local.get $n))", "bytes": "(call $pair (local.get $at) (local.get $n))",
            "text-or-error": "(call $result (i32.const 0) (local.get $at) (local.get $n))"}  # fmt: skip
    data = [b"", b"a", b"abcdefgh", "é€🦀".encode(), b"x" * 5000]
    for shape, body in echo.items():
        more = [] if shape == "text-or-error" else [bytes(range(256)), b"\xff\xfe", bytes(range(256)) * 300]
        f.add(f"{shape}: echo", component(shape, body), [("run", each) for each in data + more])
    for shape in ("bytes-or-error", "nothing-or-error", "text-or-error"):
        for text in (b"bad", b"", "é€🦀".encode(), b"a\nb", b"x" * 100):
            f.add(
                f"{shape}: error {text[:8]!r}",
                component(shape, f"(call $result (i32.const 1) (i32.const 1024) (i32.const {len(text)}))", text),
                [("run", b""), ("run", b"a")],
            )
        for what, text in (
            ("invalid UTF-8", b"\xff\xfe"),
            ("a surrogate", b"\xed\xa0\x80"),
            ("cut UTF-8", b"\xe2\x82"),
        ):
            f.add(
                f"{shape}: error of {what}",
                component(shape, f"(call $result (i32.const 1) (i32.const 1024) (i32.const {len(text)}))", text),
                [("run", b"")],
            )
        f.add(
            f"{shape}: a tag that is none",
            component(shape, "(call $result (i32.const 7) (i32.const 1024) (i32.const 0))"),
            [("run", b"")],
        )
        f.add(f"{shape}: the result lies outside", component(shape, "(i32.const 65532)"), [("run", b"")])
        f.add(f"{shape}: the result is not aligned", component(shape, "(i32.const 17)"), [("run", b"")])
    f.add(
        "nothing-or-error: ok",
        component("nothing-or-error", "(call $result (i32.const 0) (i32.const 0) (i32.const 0))"),
        [("run", b""), ("run", b"abc")],
    )
    f.add(
        "text", component("text", "(call $pair (i32.const 1024) (i32.const 5))", b"hello"), [("run", b""), ("run", b"")]
    )
    f.add(
        "text of invalid UTF-8",
        component("text", "(call $pair (i32.const 1024) (i32.const 2))", b"\xff\xfe"),
        [("run", b"")],
    )
    f.add("nothing", component("nothing", "", ""), [("run", b""), ("run", b"")])
    for name, at, n in (
        ("past the end", 65530, 100),
        ("far outside", -16, 8),
        ("of a negative length", 1024, -1),
        ("that wraps", -1, 2),
        ("of no bytes at the end", 65536, 0),
        ("of no bytes outside", -1, 0),
        ("of more than memory", 0, 1 << 30),
    ):
        f.add(f"bytes {name}", component("bytes", f"(call $pair (i32.const {at}) (i32.const {n}))"), [("run", b"")])
        f.add(
            f"bytes-or-error {name}",
            component("bytes-or-error", f"(call $result (i32.const 0) (i32.const {at}) (i32.const {n}))"),
            [("run", b"")],
        )
        f.add(
            f"an error {name}",
            component("bytes-or-error", f"(call $result (i32.const 1) (i32.const {at}) (i32.const {n}))"),
            [("run", b"")],
        )


def ends(f):
    echo = "(call $pair (local.get $at) (local.get $n))"
    for name, body in (
        ("unreachable", "(unreachable)"),
        ("divide", "(i32.div_u (i32.const 1) (i32.const 0))"),
        ("load", "(i32.load (i32.const -4))"),
        ("deep recursion", "(call $deep) (i32.const 0)"),
    ):
        f.add(f"trap: {name}", component("bytes", body, more="(func $deep (call $deep) (call $deep))"), [("run", b"")])
    f.add("realloc traps", component("bytes", echo, realloc="(unreachable)"), [("run", b""), ("run", b"abc")])
    for name, at in (("0", 0), ("outside", 1 << 20), ("at the end", 65535), ("not to the point", 4097)):
        f.add(
            f"realloc gives {name}", component("bytes", echo, realloc=f"(return (i32.const {at}))"), [("run", b"abc")]
        )
    count = "(global $c (mut i32) (i32.const 48))"
    counted = "(i32.store8 (i32.const 1024) (global.get $c)) (global.set $c (i32.add (global.get $c) (i32.const 1))) (call $pair (i32.const 1024) (i32.const 1))"
    f.add("state lives on", component("bytes", counted, more=count), [("run", b"")] * 3)
    f.add(
        "what follows a result",
        component("bytes", counted, more=count, after="(global.set $c (i32.add (global.get $c) (i32.const 2)))"),
        [("run", b"")] * 3,
    )
    f.add("what follows a result traps", component("bytes", echo, after="(unreachable)"), [("run", b"abc")])
    f.add(
        "a start function",
        component("bytes", counted, more=count + "(func $s (global.set $c (i32.const 65))) (start $s)"),
        [("run", b""), ("run", b"")],
    )
    f.add(
        "a start function traps",
        component("bytes", counted, more=count + "(func $s (unreachable)) (start $s)"),
        [("run", b"")],
    )
    f.add(
        "two memories",
        component(
            "bytes",
            "(i32.store8 (i32.const 1024) (i32.load8_u $two (i32.const 0))) (call $pair (i32.const 1024) (i32.const 1))",
            more='(memory $two 1) (data (memory $two) (i32.const 0) "Q")',
        ),
        [("run", b"")],
    )
    f.add("no such operation", component("bytes", echo), [("walk", b""), ("run", b"a"), ("memory", b"")])


def files(f):
    f.add("not a component", "(component (core module $m", [("run", b"")])
    f.add(
        "an import that is missing",
        '(component (import "acme:store/shelf@1.0.0" (instance (export "take" (func)))))',
        [("run", b"")],
    )
    f.add("an empty component", "(component)", [("run", b"")])


def kit(name):
    """A conformance guest of the world 1.0.0: what it prints by WASI is logged here, and printed there."""
    return Case(name, "", KIT_STEPS, {"config": {"key": "a value"}}, logs=name != "js")


def cases():
    f = Family()
    for family in (answers, ends, files):
        family(f)
    return f.cases
