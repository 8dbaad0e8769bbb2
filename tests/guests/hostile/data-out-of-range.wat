;; expect: EGUEST data segment out of range
;; abi: extism
;; phase: start
(module
  ;;@extism
  (data (i32.const 0x7fffffff) "x"))
