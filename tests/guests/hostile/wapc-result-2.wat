;; expect: EINVAL any result but 1 is a failure
;; abi: wapc
;; phase: info
(module
  (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 2)))
