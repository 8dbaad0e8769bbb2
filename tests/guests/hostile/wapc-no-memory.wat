;; expect: EINVAL no memory is exported
;; abi: wapc
;; phase: load
(module
  (memory 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))
