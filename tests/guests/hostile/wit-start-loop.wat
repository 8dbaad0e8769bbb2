;; expect: ETIMEOUT limits.init
;; abi: wit
;; phase: start
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (func $s (loop (br 0)))
    (start $s)
    (func (export "process") (param i32 i32) (result i32) (call $ok))
    (func (export "done") (param i32)))
  ;;@lift
)
