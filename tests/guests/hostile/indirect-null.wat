;; expect: EGUEST call through an empty table slot
;; abi: extism
;; phase: close
(module
  ;;@extism
  (table 4 funcref)
  (type $op (func (result i32)))
  (func (export "close") (result i32) (call_indirect (type $op) (i32.const 2))))
