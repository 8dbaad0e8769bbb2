;; expect: OK, EGUEST or EINVAL: operation and payload at one place
;; abi: wapc
;; phase: info
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (memory (export "memory") 1 1)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $request (i32.const 16) (i32.const 16))
    (call $response (i32.const 16) (local.get 0))
    (i32.const 1)))
