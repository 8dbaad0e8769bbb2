;; expect: EGUEST
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (unreachable)))
  ;;@lower
  (core module $m ;;@operations
    (func (export "process") (param i32 i32) (result i32) (call $ok))
    (func (export "done") (param i32)))
  ;;@lift
)
