;; expect: EGUEST the stack ends
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
    (func (export "process") (param i32 i32) (result i32) (call $deep (i32.const 1)))
    (func (export "done") (param i32)))
  ;;@lift
)
