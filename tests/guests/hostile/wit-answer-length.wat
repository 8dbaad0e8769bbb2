;; expect: EGUEST a range outside the memory
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func (export "process") (param i32 i32) (result i32) (i32.store (i32.const 20) (i32.const 16)) (i32.store (i32.const 24) (i32.const -1)) (i32.store8 (i32.const 16) (i32.const 0)) (i32.const 16))
    (func (export "done") (param i32)))
  ;;@lift
)
