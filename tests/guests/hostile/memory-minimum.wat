;; expect: EQUOTA limits.memory
;; abi: extism
;; phase: start
(module
  (import "extism:host/env" "alloc" (func (param i64) (result i64)))
  (memory (export "memory") 65536)
  (func (export "info") (result i32) (i32.const 0))
  (func (export "subscriptions") (result i32) (i32.const 0))
  (func (export "process") (result i32) (i32.const 0)))
