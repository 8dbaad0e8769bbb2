;; expect: ETIMEOUT limits.call, host calls included
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func (export "process") (param i32 i32) (result i32) (loop (call $call (i32.const 1600) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 16)) (br 0)) (unreachable))
    (func (export "done") (param i32)))
  ;;@lift
)
