;; expect: EQUOTA or OK: growth is refused
;; abi: extism
;; phase: close
(module
  ;;@extism
  (table $t 1 funcref)
  (export "close" (func $grow_close))
  (func $grow_close (result i32)
    (loop $again
      (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1))))
    (i32.const 0)))
