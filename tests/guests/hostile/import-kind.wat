;; expect: EINVAL alloc is imported as a global
;; abi: extism
;; phase: load
(module
  (import "extism:host/env" "alloc" (global i32))
  (func (export "info") (result i32) (i32.const 0))
  (func (export "subscriptions") (result i32) (i32.const 0))
  (func (export "process") (result i32) (i32.const 0)))
