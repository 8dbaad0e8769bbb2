;; expect: EGUEST element segment out of range
;; abi: extism
;; phase: start
(module
  ;;@extism
  (table 1 funcref)
  (func $f)
  (elem (i32.const 1000) $f))
