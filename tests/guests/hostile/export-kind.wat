;; expect: EINVAL info is no function
;; abi: extism
;; phase: load
(module
  (import "extism:host/env" "alloc" (func (param i64) (result i64)))
  (global (export "info") i32 (i32.const 1))
  (memory (export "subscriptions") 1)
  (func (export "process") (result i32) (i32.const 0)))
