;; expect: ETIMEOUT limits.call, with 100 lines a second in the log
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func (export "process") (param i32 i32) (result i32) (loop (call $log (i32.const 4) (i32.const 1024) (i32.const 40)) (br 0)) (unreachable))
    (func (export "done") (param i32)))
  ;;@lift
)
