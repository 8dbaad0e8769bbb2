;; expect: ETIMEOUT limits.init
;; abi: extism
;; phase: start
(module
  ;;@extism
  (func (export "hs_init") (param i32 i32) (loop $again (br $again))))
