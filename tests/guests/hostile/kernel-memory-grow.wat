;; expect: EQUOTA, OK or EINVAL: the kernel's memory counts too
;; abi: extism
;; phase: info
(module
  (import "extism:host/env" "memory" (memory 1))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (func (export "subscriptions") (result i32) (i32.const 0))
  (func (export "process") (result i32) (i32.const 0))
  (func (export "info") (result i32)
    (loop $again
      (br_if $again (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))
    (drop (call $alloc (i64.const 1000000)))
    (i32.const 0)))
