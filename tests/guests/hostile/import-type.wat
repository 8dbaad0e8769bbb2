;; expect: EINVAL alloc is imported with the wrong type
;; abi: extism
;; phase: load
(module
  (import "extism:host/env" "alloc" (func (param i32) (result i32)))
  (func (export "info") (result i32) (i32.const 0))
  (func (export "subscriptions") (result i32) (i32.const 0))
  (func (export "process") (result i32) (i32.const 0)))
