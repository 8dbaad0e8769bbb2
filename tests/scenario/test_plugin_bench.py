"""`outrider plugin bench` as a user types it: the shape of what it tells, never how fast it was."""

import json

import pytest

from support import cli, extism_guest, write_guest

EXTISM = extism_guest(
    functions="""
  (func (export "echo") (result i32)
    (call $output_set (call $input_offset) (call $input_length)) (i32.const 0))
  (func (export "fail") (result i32) (call $error_set (call $copy (i32.const 8192) (i32.const 4))) (i32.const 1))
  (func (export "trap") (result i32) (unreachable))
  (func (export "spin") (result i32) (loop $l (br $l)) (i32.const 0))
"""
)
WAPC = """(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 4)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $request (i32.const 0) (i32.const 1024))
    (call $response (i32.const 1024) (local.get 1))
    (i32.eq (local.get 0) (i32.const 4))))"""
WIT = """(component
  (core module $m
    (memory (export "memory") 4)
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (func (export "echo") (param "in" (list u8)) (result (list u8))
    (canon lift (core func $i "echo") (memory $memory) (realloc (func $i "realloc")))))"""

FIGURES = ("calls", "min_ns", "median_ns", "in_bytes_per_s", "out_bytes_per_s", "memory_bytes", "load_ns")


def bench(*args):
    return cli("plugin", "bench", *args)


@pytest.fixture
def guests(folder):
    texts = {"extism": EXTISM, "wapc": WAPC, "wit": WIT}
    return {name: write_guest(folder, name, text) for name, text in texts.items()}


@pytest.mark.parametrize("abi, engine", [("extism", "wasmtime"), ("extism", "wasmi"), ("wapc", "wasmtime"),
                                         ("wapc", "wasmi"), ("wit", "wasmtime")])
def test_a_bench_tells_what_a_call_costs(guests, abi, engine):
    code, out, err = bench(guests[abi], "echo", "--bytes", "1000", "--seconds", "0.1", "--json", "--abi", abi,
                           "--engine", engine)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["abi"], told["engine"], told["operation"]) == (abi, engine, "echo")
    assert (told["input_bytes"], told["output_bytes"]) == (1000, 1000)
    assert all(told[name] > 0 for name in FIGURES)
    assert told["min_ns"] <= told["median_ns"]


def test_the_text_names_every_figure(guests):
    code, out, err = bench(guests["extism"], "echo", "--input", "hello", "--seconds", "0.05")
    assert (code, err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in out.decode().splitlines())
    assert lines["abi"] == "extism" and lines["file"].endswith("extism.wat")
    assert "min" in lines["call"] and "median" in lines["call"]
    assert lines["in"].startswith("5 bytes") and lines["out"].startswith("5 bytes")
    assert lines["memory"].endswith(" bytes")


def test_no_input_is_an_input_of_no_bytes(guests):
    told = json.loads(bench(guests["extism"], "echo", "--seconds", "0.05", "--json")[1])
    assert (told["input_bytes"], told["in_bytes_per_s"]) == (0, 0)


def test_a_guest_that_fails_ends_the_bench(guests):
    code, out, err = bench(guests["extism"], "trap", "--bytes", "1")
    assert (code, out) == (1, b"") and "unreachable" in err
    code, _, err = bench(guests["extism"], "fail", "--bytes", "1")
    assert code == 1 and '"hi"' not in err and "extism.wat" in err
    code, _, err = bench(guests["extism"], "spin", "--timeout", "100")
    assert code == 1 and "deadline" in err
    code, _, err = bench(guests["wapc"], "not-four", "--bytes", "1")
    assert code == 1 and "not-four" in err


def test_what_cannot_be_asked_says_why(guests, folder):
    file = guests["extism"]
    for args, word in (
        ((file, "nothing"), "nothing"),
        ((folder / "gone.wasm", "echo"), "gone.wasm"),
        ((file, "echo", "--abi", "wapc"), "extism"),
        ((file, "echo", "--engine", "v8"), "wasmtime"),
        ((guests["wit"], "echo", "--engine", "wasmi"), "wasmtime"),
        ((file,), "OPERATION"),
        ((file, "echo", "more"), "more"),
        ((file, "echo", "--bytes"), "--bytes"),
        ((file, "echo", "--bytes", "-1"), "--bytes"),
        ((file, "echo", "--bytes", "12k"), "--bytes"),
        ((file, "echo", "--bytes", "99999999999999999999"), "--bytes"),
        ((file, "echo", "--seconds", "0"), "--seconds"),
        ((file, "echo", "--seconds", "nan"), "--seconds"),
        ((file, "echo", "--bytes", "1", "--input", "x"), "one of the two"),
        ((file, "echo", "--input", "@/nowhere/at/all"), "/nowhere/at/all"),
        ((file, "echo", "--fast", "1"), "--fast"),
    ):
        code, out, err = bench(*args)
        assert (code, out) == (2, b"") and word in err, (args, code, err)
