;; expect: EGUEST unreachable
;; abi: extism
;; phase: start
(module
  ;;@extism
  (func $trap unreachable)
  (start $trap))
