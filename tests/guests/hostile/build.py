#!/usr/bin/env python3
"""Builds the hostile guests into a folder and lists them in its index.txt.

Each source begins with three comment lines: `expect: CODE text` (CODE is what otr_guest_* answers,
or several joined by "or"), `abi: …` and `phase: …`, the operation that is hostile ("load": it must
not load; "start": it must not start). A C source may have a fourth, `variants: …`: it is compiled once for each, with
the macro VARIANT set to its text. A .wat file of a component stays text, with the parts of COMPONENT put in. In other .wat files `;;@extism` stands for a well-behaved Extism
plugin's imports, memory and operations. Generated modules are made here, from a fixed seed.

index.txt has a line `file | abi | phase | expected` for each guest.
"""

import argparse
import pathlib
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent

PRELUDE = r"""
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "{\"name\":\"hostile\",\"version\":\"1.0.0\",\"api\":\"1\"}")
  (data (i32.const 1280) "{\"topics\":[{\"pattern\":\"test.ping\",\"kind\":\"event\"}]}")
  (func $answer (param $at i32) (param $len i32) (result i32)
    (local $to i64) (local $i i32)
    (local.set $to (call $alloc (i64.extend_i32_u (local.get $len))))
    (loop $next
      (call $store_u8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))
        (i32.load8_u (i32.add (local.get $at) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (local.get $len))))
    (call $output_set (local.get $to) (i64.extend_i32_u (local.get $len)))
    (i32.const 0))
  (func (export "info") (result i32) (call $answer (i32.const 1024) (i32.const 46)))
  (func (export "subscriptions") (result i32) (call $answer (i32.const 1280) (i32.const 51)))
  (func (export "process") (result i32) (i32.const 0))
"""


# The parts of a component that speaks the plugin world; see the wit-*.wat files.
COMPONENT = {
    ";;@world": r"""
  (import "outrider:plugin/bus@1.0.0" (instance $bus (export "publish"
    (func (param "topic" string) (param "data" (list u8)) (result (result (error string)))))))
  (import "outrider:plugin/log@1.0.0" (instance $log (export "write" (func (param "level" u8) (param "line" string)))))
  (import "outrider:plugin/host@1.0.0" (instance $host (export "call"
    (func (param "operation" string) (param "input" (list u8)) (result (result (list u8) (error string)))))))
""",
    ";;@realloc": r"""
    (global $top (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (if (i32.gt_u (i32.add (global.get $top) (local.get 3)) (i32.const 65528))
        (then (global.set $top (i32.const 4096))))
      (global.get $top)
      (global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 7)) (i32.const -8))))
""",
    ";;@lower": r"""
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $mem))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $publish (canon lower (func $bus "publish") (memory $mem) (realloc $realloc)))
  (core func $write (canon lower (func $log "write") (memory $mem) (realloc $realloc)))
  (core func $call (canon lower (func $host "call") (memory $mem) (realloc $realloc)))
""",
    ";;@operations": r"""
    (import "libc" "memory" (memory 1))
    (import "host" "publish" (func $publish (param i32 i32 i32 i32 i32)))
    (import "host" "write" (func $log (param i32 i32 i32)))
    (import "host" "call" (func $call (param i32 i32 i32 i32 i32)))
    (data (i32.const 1024) "{\"name\":\"hostile\",\"version\":\"1.0.0\",\"api\":\"1\"}")
    (data (i32.const 1280) "{\"topics\":[{\"pattern\":\"test.ping\",\"kind\":\"event\"}]}")
    (data (i32.const 1600) "clock.now")
    (data (i32.const 1632) "test.flood")
    (data (i32.const 1648) "{}")
    (func $text (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func $ok (result i32) (i64.store (i32.const 16) (i64.const 0)) (i32.store (i32.const 24) (i32.const 0)) (i32.const 16))
    (func (export "info") (result i32) (call $text (i32.const 1024) (i32.const 46)))
    (func (export "subscriptions") (result i32) (call $text (i32.const 1280) (i32.const 51)))
""",
    ";;@lift": r"""
  (core instance $i (instantiate $m (with "libc" (instance $libc)) (with "host" (instance
    (export "publish" (func $publish)) (export "write" (func $write)) (export "call" (func $call))))))
  (func $info (result string) (canon lift (core func $i "info") (memory $mem)))
  (func $subscriptions (result string) (canon lift (core func $i "subscriptions") (memory $mem)))
  (func $process (param "message" (list u8)) (result (result (list u8) (error string)))
    (canon lift (core func $i "process") (memory $mem) (realloc $realloc) (post-return (func $i "done"))))
  (instance $lifecycle (export "info" (func $info)) (export "subscriptions" (func $subscriptions))
    (export "process" (func $process)))
  (export "outrider:plugin/lifecycle@1.0.0" (instance $lifecycle))
""",
}


def header(text):
    fields = dict(re.findall(r"^(?:;;|/\*| \*) (expect|abi|phase|variants): ((?:.*,\n \* )*.*?)(?: \*/)?$", text, re.M))
    if set(fields) | {"variants"} != {"expect", "abi", "phase", "variants"}:
        raise SystemExit("a hostile guest must begin with expect, abi and phase: " + text[:80])
    return fields


def run(command, source):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{source}: {' '.join(map(str, command))}\n{done.stderr}")


def build_wat(source, out, args):
    text = source.read_text()
    fields = header(text)
    if "\n(component" in text:
        text = text[text.index("(component") :]
        for mark, piece in COMPONENT.items():
            text = text.replace(mark, piece)
        copy = out / source.name
        copy.write_text(text)
        return [(copy.name, fields["abi"], fields["phase"], fields["expect"])]
    wat = out / (source.stem + ".wat")
    wat.write_text(text.replace(";;@extism", PRELUDE))
    wasm = out / (source.stem + ".wasm")
    # --no-check: some of them are wrong on purpose, and the host must find that out by itself.
    run([args.wat2wasm, "--no-check", wat, "-o", wasm], source)
    wat.unlink()
    return [(wasm.name, fields["abi"], fields["phase"], fields["expect"])]


def build_c(source, out, args):
    fields = header(source.read_text())
    abis = fields["abi"].split(", ")
    variants = re.split(r",[\s*]+", fields.get("variants", ""))
    lines = []
    for abi in abis:
        for variant in variants:
            wasm = out / ("-".join([source.stem, *filter(None, [variant]), *(abis[1:] and [abi])]) + ".wasm")
            run(
                [args.clang, "--target=wasm32", "-std=c11", "-O1", "-nostdlib", "-ffreestanding", "-w"]
                + ["-fno-optimize-sibling-calls", "-I", args.sdk, "-I", HERE, f"-DGUEST_{abi.upper()}"]
                + [f'-DVARIANT="{variant}"']
                + ["-Wl,--no-entry,--stack-first,-z,stack-size=262144", "-o", wasm, source],
                source,
            )
            lines.append((wasm.name, abi, fields["phase"], fields["expect"]))
    return lines


def leb(n):
    out = bytearray()
    while True:
        n, low = n >> 7, n & 127
        out.append(low | (128 if n else 0))
        if not n:
            return bytes(out)


def section(number, body):
    return bytes([number]) + leb(len(body)) + body


def vector(items):
    return leb(len(items)) + b"".join(items)


def name(text):
    return leb(len(text)) + text.encode()


MAGIC = b"\0asm\1\0\0\0"
RESULT_TYPE = section(1, vector([b"\x60\0\1\x7f"]))  # () -> i32


def function(code, local_count=0):
    local = leb(1) + leb(local_count) + b"\x7f" if local_count else b"\0"
    body = local + code + b"\x0b"
    return leb(len(body)) + body


def module(bodies, exports):
    return (
        MAGIC
        + RESULT_TYPE
        + section(3, vector([b"\0"] * len(bodies)))
        + section(7, vector([name(n) + b"\0" + leb(i) for n, i in exports]))
        + section(10, vector(bodies))
    )


def generated(good):
    """Name, bytes, phase, expectation."""
    operations = [("info", 0), ("subscriptions", 0), ("process", 0)]
    zero = function(b"\x41\0")
    yield "empty", b"", "load", "EINVAL not a module"
    yield "magic-only", MAGIC[:4], "load", "EINVAL not a module"
    yield "version", b"\0asm\2\0\0\0" + good[8:], "load", "EINVAL not a module"
    yield "text", b"#!/bin/sh\nexit 0\n", "load", "EINVAL not a module"
    yield "elf", b"\x7fELF" + bytes(60), "load", "EINVAL not a module"
    yield "header-only", MAGIC, "load", "EINVAL no ABI: nothing is exported"
    yield "trailing-junk", good + b"\xff" * 64, "load", "EINVAL malformed"
    huge_count = section(7, b"\xff\xff\xff\xff\x0f")
    yield "count-4g", MAGIC + huge_count, "load", "EINVAL malformed"
    yield "section-length", MAGIC + b"\1\xff\xff\xff\xff\x0f", "load", "EINVAL malformed"
    # A function of 1 MB of code: compile time and memory stay in bounds.
    long_body = function(b"\x41\0" + b"\x41\1\x6a" * 350000)
    yield "function-1mb", module([long_body], operations), "load", "OK, EINVAL or EQUOTA: compiles in bounded time"
    many = [(f"export{i}", 0) for i in range(10000)]
    yield "exports-10000", module([zero], operations + many), "load", "OK, EINVAL or EQUOTA"
    long_name = [("x" * 100000, 0)]
    yield "export-name-100k", module([zero], operations + long_name), "load", "OK, EINVAL or EQUOTA"
    yield "export-twice", module([zero], operations + operations), "load", "EINVAL malformed"
    bodies = [zero] * 20000
    yield "functions-20000", module(bodies, operations), "load", "OK, EINVAL or EQUOTA"
    nested = function(b"\x02\x40" * 50000 + b"\x0b" * 50000 + b"\x41\0")
    yield "nested-50000", module([nested], operations), "load", "OK, EINVAL or EQUOTA: no stack overflow in the host"
    locals_ = function(b"\x41\0", 50000)
    yield "locals-50000", module([locals_], operations), "load", "OK, EINVAL or EQUOTA"
    yield "locals-4g", module([function(b"\x41\0", 0xFFFFFFFF)], operations), "load", "EINVAL malformed"
    imports = section(2, vector([name("extism:host/env") + name(f"f{i}") + b"\0\0" for i in range(5000)]))
    yield "imports-5000", MAGIC + RESULT_TYPE + imports, "load", "EINVAL or EQUOTA unknown imports, the text is cut"
    odd = section(2, vector([name("\x1b[2J\n") + name("\0") + b"\0\0"]))
    yield "import-control-name", MAGIC + RESULT_TYPE + odd, "load", "EINVAL escaped in the error"
    yield "component-header", b"\0asm\x0d\0\1\0", "load", "EINVAL or EUNSUP"
    for part in (9, 40, len(good) // 2, len(good) - 1):
        yield f"truncated-{part}", good[:part], "load", "EINVAL malformed"
    dice = random.Random(20260801)
    for i in range(40):
        flipped = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            flipped[dice.randrange(8, len(good))] ^= 1 << dice.randrange(8)
        yield f"flipped-{i:02}", bytes(flipped), "any", "any: the host lives"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--wat2wasm", required=True)
    parser.add_argument("--clang", required=True)
    parser.add_argument("--sdk", required=True)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for old in [*args.out.glob("*.wasm"), *args.out.glob("*.wat")]:
        old.unlink()

    jobs = [(build_wat, s) for s in sorted(HERE.glob("*.wat"))]
    jobs += [(build_c, s) for s in sorted(HERE.glob("*.c"))]
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(build, source, args.out, args) for build, source in jobs]
        lines = [line for future in futures for line in future.result()]
    good = (args.out / "loop-close-extism.wasm").read_bytes()
    for stem, data, phase, expect in generated(good):
        wasm = f"generated-{stem}.wasm"
        (args.out / wasm).write_bytes(data)
        lines.append((wasm, "extism", phase, expect))
    index = "".join(" | ".join(line) + "\n" for line in sorted(lines))
    (args.out / "index.txt").write_text(index)
    return 0


if __name__ == "__main__":
    sys.exit(main())
