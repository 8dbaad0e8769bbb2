;; expect: EGUEST there is no such case
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func (export "process") (param i32 i32) (result i32) (i32.store8 (i32.const 16) (i32.const 7)) (i32.const 16))
    (func (export "done") (param i32)))
  ;;@lift
)
