;; expect: EGUEST the guest called proc_exit
;; abi: extism
;; phase: close
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  ;;@extism
  (func (export "close") (result i32) (call $exit (i32.const 3)) (i32.const 0)))
