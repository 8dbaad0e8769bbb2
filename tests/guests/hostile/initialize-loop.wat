;; expect: ETIMEOUT limits.init
;; abi: extism
;; phase: start
(module
  ;;@extism
  (func (export "_initialize") (loop $again (br $again))))
