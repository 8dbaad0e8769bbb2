;; expect: EINVAL process has a parameter
;; abi: extism
;; phase: load
(module
  (import "extism:host/env" "alloc" (func (param i64) (result i64)))
  (func (export "info") (result i32) (i32.const 0))
  (func (export "subscriptions") (result i32) (i32.const 0))
  (func (export "process") (param i32) (result i64) (i64.const 0)))
