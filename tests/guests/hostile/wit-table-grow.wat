;; expect: EQUOTA or OK: tables are bounded
;; abi: wit
;; phase: process
(component ;;@world
  (core module $libc (memory (export "memory") 1)
    ;;@realloc)
  ;;@lower
  (core module $m ;;@operations
    (table $t 1 funcref)
    (func (export "process") (param i32 i32) (result i32) (loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)))) (unreachable))
    (func (export "done") (param i32)))
  ;;@lift
)
