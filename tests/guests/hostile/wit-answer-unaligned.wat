;; expect: EGUEST the result area is not aligned
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func (export "process") (param i32 i32) (result i32) (i32.const 17))
    (func (export "done") (param i32)))
  ;;@lift
)
