;; expect: EGUEST stack overflow
;; abi: extism
;; phase: close
(module
  ;;@extism
  (func $a (param i64) (result i64) (i64.add (call $b (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
  (func $b (param i64) (result i64) (i64.add (call $a (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))
  (func (export "close") (result i32) (i32.wrap_i64 (call $a (i64.const 0)))))
