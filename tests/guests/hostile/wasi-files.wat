;; expect: OK no directory is open
;; abi: extism
;; phase: close
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  ;;@extism
  (data (i32.const 2048) "etc/passwd")
  (func (export "close") (result i32)
    (local $fd i32)
    (loop $again
      (if (i32.eqz (call $path_open (local.get $fd) (i32.const 0) (i32.const 2048) (i32.const 10)
            (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 4096)))
        (then unreachable))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br_if $again (i32.lt_s (local.get $fd) (i32.const 16))))
    (i32.const 0)))
