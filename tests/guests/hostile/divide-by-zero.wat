;; expect: EGUEST integer divide by zero
;; abi: extism
;; phase: close
(module
  ;;@extism
  (func (export "close") (result i32) (i32.div_s (i32.const 1) (i32.const 0))))
