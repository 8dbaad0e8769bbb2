;; expect: EINVAL __guest_call has the wrong type
;; abi: wapc
;; phase: load
(module
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i64 i64) (result i64) (i64.const 1)))
