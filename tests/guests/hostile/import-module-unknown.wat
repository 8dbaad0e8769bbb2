;; expect: EINVAL unknown import
;; abi: extism
;; phase: load
(module
  (import "libc" "system" (func (param i32) (result i32)))
  ;;@extism
)
