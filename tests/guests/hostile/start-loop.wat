;; expect: ETIMEOUT limits.init
;; abi: extism
;; phase: start
(module
  ;;@extism
  (func $loop (loop $again (br $again)))
  (start $loop))
