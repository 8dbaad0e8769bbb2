;; expect: EINVAL or EQUOTA: more than the pool holds
;; abi: extism
;; phase: load
(module
  (import "extism:host/env" "alloc" (func (param i64) (result i64)))
  (table 100000000 funcref)
  (func (export "info") (result i32) (i32.const 0))
  (func (export "subscriptions") (result i32) (i32.const 0))
  (func (export "process") (result i32) (i32.const 0)))
