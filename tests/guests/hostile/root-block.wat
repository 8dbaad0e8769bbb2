;; expect: OK or EGUEST: what the kernel keeps in its memory is not trusted
;; abi: extism
;; phase: info
(module
  (import "extism:host/env" "memory" (memory 1))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "free" (func $free (param i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (func $tamper (param $with i64) (result i32)
    (local $i i32)
    (loop $again
      (i64.store (local.get $i) (local.get $with))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 65528))))
    (drop (call $alloc (i64.const 64)))
    (call $free (i64.const 64))
    (drop (call $length (i64.const 64)))
    (call $output_set (call $alloc (i64.const 1024)) (i64.const 1024))
    (i32.const 0))
  (func (export "info") (result i32) (call $tamper (i64.const -1)))
  (func (export "subscriptions") (result i32) (call $tamper (i64.const 0)))
  (func (export "process") (result i32) (call $tamper (i64.const 0x0000000100000001)))
  (func (export "close") (result i32) (call $tamper (i64.const 0x7fffffffffffffff))))
