;; expect: OK or EGUEST: host functions before the instance is ready
;; abi: extism
;; phase: start
(module
  ;;@extism
  (func $early
    (call $output_set (i64.const 0) (i64.const 64))
    (call $store_u64 (call $alloc (i64.const 64)) (i64.const -1)))
  (start $early))
