;; expect: EINVAL unknown import
;; abi: extism
;; phase: load
(module
  (import "extism:host/env" "format_disk" (func (param i64) (result i64)))
  ;;@extism
)
