"""Random guests from a seed: sequences of host calls whose every result is noted and becomes the output.

Only what both sides must agree on is noted: where a block lies is the allocator's business, how long it is and what it
holds is not. A slot ($h0 to $h5) holds a handle or 0; the generator knows which, so that it does what guests may do."""

import wat
from cases_extism import Case, get, k, let, note, note32

SIZES = (0, 1, 3, 7, 8, 9, 16, 31, 100, 4096)
KEYS = ("a", "b", "key", "a longer key with spaces", "é")
SETTINGS = {"a": "1", "key": "value of key", "é": "ünï"}
VALUES = ("", "x", "12345678", "a text of more than one word", "€" * 20, "y" * 300)


class ExtismBody:
    """One operation. `size` has the length of each slot's block, None: it holds no block of ours. What a new block holds,
    and what a freed one that is the output, is the allocator's business, too."""

    def __init__(self, random, texts):
        self.random, self.texts = random, texts
        self.size = [None] * 6
        self.filled = [False] * 6
        self.lines = []

    def live(self):
        return [slot for slot, size in enumerate(self.size) if size]

    def add(self, line):
        self.lines.append(line)

    def alloc(self):
        slot, n = self.random.randrange(6), self.random.choice(SIZES)
        self.add(let(slot, f"(call $alloc {k(n)})") + note(f"(call $length {get(slot)})"))
        self.size[slot], self.filled[slot] = n, False

    def put(self):
        slot, text = self.random.randrange(6), self.random.choice(VALUES)
        self.add(let(slot, self.texts.block(text)))
        self.size[slot], self.filled[slot] = len(text.encode()), True

    def free(self):
        for slot in self.some_live():
            self.add(f"(call $free {get(slot)})" + note(f"(call $length {get(slot)})") + let(slot, k(0)))
            self.size[slot] = None

    def some_live(self, filled=False):
        live = [slot for slot in self.live() if self.filled[slot] or not filled]
        return [self.random.choice(live)] if live else []

    def store(self):
        for slot in self.some_live():
            at, value = self.random.randrange(self.size[slot]), self.random.randrange(-200, 300)
            self.add(f"(call $store_u8 (i64.add {get(slot)} {k(at)}) (i32.const {value}))")
            if self.size[slot] >= 8:
                at = self.random.randrange(self.size[slot] - 7)
                self.add(
                    f"(call $store_u64 (i64.add {get(slot)} {k(at)}) {k(self.random.getrandbits(64) - (1 << 63))})"
                )

    def load(self):
        for slot in self.some_live(filled=True):
            at = self.random.randrange(self.size[slot])
            self.add(note32(f"(call $load_u8 (i64.add {get(slot)} {k(at)}))"))
            if self.size[slot] >= 8:
                at = self.random.randrange(self.size[slot] - 7)
                self.add(note(f"(call $load_u64 (i64.add {get(slot)} {k(at)}))"))

    def input(self):
        at = self.random.choice((0, 1, 5, 8, 100, 5000, -1, 1 << 33))
        self.add(note("(call $input_length)") + note32(f"(call $input_load_u8 {k(at)})"))

    def input_block(self):
        self.add(note("(call $length (call $input_offset))"))

    def output(self):
        for slot in self.some_live(filled=True):
            n = self.random.randrange(self.size[slot] + 1)
            self.add(f"(call $output_set {get(slot)} {k(n)})")
            self.size[slot] = None

    def variable(self):
        key = self.random.choice(KEYS)
        if self.random.random() < 0.5:
            value = self.random.choice(("(i64.const 0)", *(self.texts.block(text) for text in VALUES[1:])))
            self.add(f"(call $var_set {self.texts.block(key)} {value})")
            return
        slot = self.random.randrange(6)
        self.add(let(slot, f"(call $var_get {self.texts.block(key)})") + note(f"(call $length {get(slot)})"))
        self.add(
            note(f"(if (result i64) (i64.eqz {get(slot)}) (then (i64.const 0)) (else (call $load_u64 {get(slot)})))")
            if self.random.random() < 0.5
            else ""
        )
        self.size[slot] = None

    def setting(self):
        key = self.random.choice(KEYS)
        slot = self.random.randrange(6)
        self.add(let(slot, f"(call $config_get {self.texts.block(key)})") + note(f"(call $length {get(slot)})"))
        self.size[slot] = None

    def log(self):
        level = self.random.choice(("trace", "debug", "info", "warn", "error"))
        self.add(f"(call $log_{level} {self.texts.block(self.random.choice(VALUES[1:]))})")

    def error(self):
        if self.random.random() < 0.3:
            self.add("(call $error_set (i64.const 0))")
        else:
            self.add(f"(call $error_set {self.texts.block(self.random.choice(VALUES[1:]))})")

    def nothing(self):
        number = k(self.random.choice((0, 1 << 33, -1, 1 << 62)))
        self.add(
            note(f"(call $length {number})")
            + note32(f"(call $load_u8 {number})")
            + note(f"(call $load_u64 {number})")
            + f"(call $free {number})"
        )

    def text(self):
        steps = ((self.alloc, 4), (self.put, 4), (self.free, 2), (self.store, 4), (self.load, 4), (self.input, 3), (self.input_block, 1),
                 (self.output, 1), (self.variable, 4), (self.setting, 2), (self.log, 2), (self.nothing, 1))  # fmt: skip
        makers, weights = zip(*steps)
        for maker in self.random.choices(makers, weights, k=self.random.randrange(3, 30)):
            maker()
        end = self.random.random()
        if end < 0.15:
            self.error()
        code = self.random.choices((0, 1, 2, -1, 77), (10, 1, 1, 1, 1))[0]
        last = "(unreachable)" if end > 0.95 else f"(i32.const {code})"
        flush = "(call $flush)" if self.random.random() < 0.85 else "(global.set $noted (i32.const 0))"
        return "".join(self.lines) + flush + last


def extism(seed, random):
    texts = wat.Texts()
    ops = {f"op{i}": ExtismBody(random, texts).text() for i in range(random.randrange(1, 4))}
    steps = []
    for _ in range(random.randrange(2, 7)):
        data = random.randbytes(random.choice((0, 0, 1, 7, 8, 9, 100, 5000)))
        steps.append((random.choice(list(ops)), data))
    return Case(f"seed {seed}", wat.extism(ops, texts), steps, {"config": SETTINGS})


class WapcBody:
    def __init__(self, random, texts):
        self.random, self.texts = random, texts
        self.lines = []

    def add(self, line):
        self.lines.append(line)

    def host_call(self):
        t, pick = self.texts, self.random.choice
        op = pick(("echo", "echo", "names", "empty", "fail", "unknown"))
        data = pick((t.args(pick(VALUES)), "(i32.const 131072) (local.get $n)"))
        if op == "fail":
            data = t.args(pick(VALUES[1:]))  # a text, as an empty one is for the embedder to fill
        call = f"(call $__host_call {t.args(pick(KEYS))} {t.args(pick(KEYS))} {t.args(op)} {data})"
        self.add(note32(call))
        if self.random.random() < 0.7:
            self.lengths()

    def lengths(self):
        self.add(note32("(call $__host_response_len)") + note32("(call $__host_error_len)"))

    def answers(self):
        at = self.random.choice((4096, 8192, 8195))
        self.add(f"(call $__host_response (i32.const {at}))" + note(f"(i64.load (i32.const {at}))"))
        self.add(f"(call $__host_error (i32.const {at}))" + note(f"(i64.load (i32.const {at}))"))

    def request(self):
        at = self.random.choice((16384, 16390))
        self.add(
            f"(call $__guest_request (i32.const {at}) (i32.const {at + 1000}))"
            + note(f"(i64.load (i32.const {at + 1000}))")
        )

    def lengths_of_request(self):
        self.add(note32("(local.get $n_op)") + note32("(local.get $n)"))

    def respond(self):
        self.add(f"(call $__guest_response {self.texts.args(self.random.choice(VALUES))})")

    def fail(self):
        self.add(f"(call $__guest_error {self.texts.args(self.random.choice(VALUES))})")

    def log(self):
        self.add(f"(call $__console_log {self.texts.args(self.random.choice(VALUES))})")

    def text(self):
        steps = (
            (self.host_call, 6),
            (self.lengths, 1),
            (self.answers, 3),
            (self.request, 2),
            (self.lengths_of_request, 1),
            (self.respond, 1),
            (self.log, 1),
        )
        makers, weights = zip(*steps)
        for maker in self.random.choices(makers, weights, k=self.random.randrange(2, 20)):
            maker()
        end = self.random.random()
        if end < 0.15:
            self.fail()
            return "".join(self.lines) + "(global.set $noted (i32.const 0)) (i32.const 0)"
        last = "(unreachable)" if end > 0.95 else "(i32.const 1)"
        return "".join(self.lines) + "(call $flush)" + last


def wapc(seed, random):
    texts = wat.Texts()
    ops = {letter: WapcBody(random, texts).text() for letter in "abc"[: random.randrange(1, 4)]}
    steps = []
    for _ in range(random.randrange(2, 7)):
        data = (
            "é€x7"[: random.randrange(5)].encode()
            if random.random() < 0.3
            else bytes(random.choices(range(128), k=random.choice((0, 1, 8, 100, 400))))
        )
        steps.append((random.choice(("", "some.", "a longer name/")) + random.choice(list(ops)), data))
    return Case(f"seed {seed}", wat.wapc(ops, texts), steps, logs=False)
