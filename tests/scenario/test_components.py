"""WIT components as a user meets them: what they print, and what this host lacks."""

from support import cli, write_guest

STREAMS = """
  (import "wasi:io/error@0.2.3" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.3" (instance $streams
    (export "output-stream" (type $out (sub resource)))
    (alias outer 1 $io-error (type $e0)) (export "error" (type $e (eq $e0)))
    (type $se0 (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $se (eq $se0)))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out))
      (param "contents" (list u8)) (result (result (error $se)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.3" (instance $stdout (alias outer 1 $output-stream (type $o0))
    (export "output-stream" (type $o (eq $o0))) (export "get-stdout" (func (result (own $o))))))
"""

PRINTS = f"""(component {STREAMS}
  (core module $libc (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $mem))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $out (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory $mem) (realloc $realloc)))
  (core module $m (import "libc" "memory" (memory 1))
    (import "h" "out" (func $out (result i32))) (import "h" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "say") (param i32 i32) (result i32)
      (call $write (call $out) (local.get 0) (local.get 1) (i32.const 64)) (i32.const 16))
    (func (export "die") (param i32 i32) (result i32)
      (call $write (call $out) (local.get 0) (local.get 1) (i32.const 64)) unreachable))
  (core instance $i (instantiate $m (with "libc" (instance $libc))
    (with "h" (instance (export "out" (func $out)) (export "write" (func $write))))))
  (func (export "say") (param "in" (list u8)) (result (list u8))
    (canon lift (core func $i "say") (memory $mem) (realloc $realloc)))
  (func (export "die") (param "in" (list u8)) (result (list u8))
    (canon lift (core func $i "die") (memory $mem) (realloc $realloc))))"""


def test_text_without_a_line_end_is_shown(folder):
    guest = write_guest(folder, "prints", PRINTS)
    assert cli("plugin", "call", guest, "say", "--input", "one\ntwo") == (0, b"", "log info one\nlog info two\n")
    code, _, err = cli("plugin", "call", guest, "die", "--input", "last words")
    assert code == 1 and "log info last words\n" in err and "unreachable" in err


def test_a_version_that_is_not_there_is_told_with_what_to_do(folder):
    guest = write_guest(
        folder,
        "skew",
        """(component
          (import "wasi:random/random@0.3.0" (instance (export "f" (func))))
          (import "outrider:plugin/bus@2.0.0" (instance (export "f" (func)))))""",
    )
    code, _, err = cli("plugin", "call", guest, "f")
    assert code == 2
    assert "0.3.0 is wanted, this agent has 0.2.12: build the plugin for WASI 0.2" in err
    assert "outrider:plugin/bus@2.0.0: 2.0.0 is wanted, this agent has 1.1.0: build the plugin against" in err
