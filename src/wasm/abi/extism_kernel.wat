;; Extism memory: what guest and host hand to each other lies here. Linked before each Extism guest
;; under "extism:host/env" and "env"; extism.c writes the root block before a call and reads it
;; after, and trusts nothing that it finds there.
;;
;; Root block, i64 words (word k at byte 8k):
;;   1 input offset    2 input length     3 output offset   4 output length   5 error handle
;;   6 input length - 7, not below 0: one compare guards an 8-byte load of input
;;   7 key of this call, a multiple of 16: tags of older calls do not match it
;;   8 first free byte above all blocks   9 bit k: list k is not empty
;;   10 highest value of word 8 in this call, so that a reset knows what to zero
;;   16 + k head of the list of free blocks of 2^k up to 2^(k+1)-1 bytes (valid if its bit is set)
;; From byte 512 on: blocks. A block is a 16-byte header and its data, a multiple of 16 bytes. The
;; header is a tag, (data offset xor key) + 1 in use, + 2 free or + 3 kept, and size << 32 | length.
;; A free block's data begins with the offset of the next one in its list. A kept block was freed
;; while it was the error text or held the answer: it is no handle any more, but nothing else comes
;; to lie there, so that both are read at the end as they were.
;;
;; Guests can write into headers (store_u64 reaches all bytes from 512 on) and, when they import the
;; memory, into the root block. Nothing here loops over what they can write, so the worst they do
;; is trap or spoil their own data.
(module
  (memory (export "memory") 1)
  ;; Bytes of memory - 512 - 7: `offset - 512 < limit`, unsigned, guards an 8-byte access and
  ;; `offset - 512 < limit + 7` a 1-byte access, wrap-around included. Only `room` writes it.
  (global $limit (export "outrider:limit") (mut i64) (i64.const 65017))

  ;; The last kept blocks: one that is the error text, one that holds the answer. What earlier calls
  ;; left there has the tag of another key.
  (global $kept_error (mut i64) (i64.const 0))
  (global $kept_output (mut i64) (i64.const 0))

  ;; Grows the memory until it holds `end` bytes; 0 when it cannot.
  (func $room (param $end i64) (result i32)
    (local $have i64)
    (local.set $have (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))
    (if (i64.gt_u (local.get $end) (local.get $have))
      (then
        (if (i64.gt_u (local.get $end) (i64.const 0x100000000)) (then (return (i32.const 0))))
        (if (i32.eq
              (memory.grow
                (i32.wrap_i64
                  (i64.shr_u
                    (i64.add (i64.sub (local.get $end) (local.get $have)) (i64.const 65535))
                    (i64.const 16))))
              (i32.const -1))
          (then (return (i32.const 0))))
        (global.set $limit
          (i64.sub
            (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16))
            (i64.const 519)))))
    (i32.const 1))

  ;; Whether `at` lies in Extism memory, outside the root block.
  (func $inside (param $at i64) (result i32)
    (i64.lt_u
      (i64.sub (local.get $at) (i64.const 512))
      (i64.add (global.get $limit) (i64.const 7))))

  ;; Whether `at` is the data of a block of this call whose tag ends in `state`.
  (func $is (param $at i64) (param $state i64) (result i32)
    (if (i64.ge_u
          (i64.sub (local.get $at) (i64.const 512)) ;; not 528: there may be no block at all
          (i64.sub (i64.load offset=64 (i32.const 0)) (i64.const 512)))
      (then (return (i32.const 0))))
    (i64.eq
      (i64.load (i32.wrap_i64 (i64.sub (local.get $at) (i64.const 16))))
      (i64.add
        (i64.xor (local.get $at) (i64.load offset=56 (i32.const 0)))
        (local.get $state))))

  (func $mark (param $at i64) (param $state i64) (param $size i64) (param $used i64)
    (local $p i32)
    (local.set $p (i32.wrap_i64 (i64.sub (local.get $at) (i64.const 16))))
    (i64.store (local.get $p)
      (i64.add
        (i64.xor (local.get $at) (i64.load offset=56 (i32.const 0)))
        (local.get $state)))
    (i64.store offset=8 (local.get $p)
      (i64.or (i64.shl (local.get $size) (i64.const 32)) (local.get $used))))

  (func $size (param $at i64) (result i64)
    (i64.load32_u (i32.wrap_i64 (i64.sub (local.get $at) (i64.const 4)))))

  (func $class (param $size i64) (result i64)
    (i64.sub (i64.const 63) (i64.clz (local.get $size))))

  (func $push (param $at i64) (param $size i64)
    (local $class i64)
    (local $head i32)
    (local $bit i64)
    (local $lists i64)
    (local.set $class (call $class (local.get $size)))
    (local.set $head (i32.shl (i32.wrap_i64 (local.get $class)) (i32.const 3)))
    (local.set $bit (i64.shl (i64.const 1) (local.get $class)))
    (local.set $lists (i64.load offset=72 (i32.const 0)))
    (call $mark (local.get $at) (i64.const 2) (local.get $size) (i64.const 0))
    (i64.store (i32.wrap_i64 (local.get $at))
      (select
        (i64.load offset=128 (local.get $head))
        (i64.const 0)
        (i64.ne (i64.and (local.get $lists) (local.get $bit)) (i64.const 0))))
    (i64.store offset=128 (local.get $head) (local.get $at))
    (i64.store offset=72 (i32.const 0) (i64.or (local.get $lists) (local.get $bit))))

  ;; The first block of list `class` if it has `size` bytes; else 0. A list whose head is not a free
  ;; block was written over by the guest: it is dropped.
  (func $pop (param $class i64) (param $size i64) (result i64)
    (local $head i32)
    (local $at i64)
    (local $next i64)
    (local $lists i64)
    (local.set $lists (i64.load offset=72 (i32.const 0)))
    (if (i64.eqz (i64.and (local.get $lists) (i64.shl (i64.const 1) (local.get $class))))
      (then (return (i64.const 0))))
    (local.set $head (i32.shl (i32.wrap_i64 (local.get $class)) (i32.const 3)))
    (local.set $at (i64.load offset=128 (local.get $head)))
    (if (call $is (local.get $at) (i64.const 2))
      (then
        (if (i64.lt_u (call $size (local.get $at)) (local.get $size))
          (then (return (i64.const 0))))
        (local.set $next (i64.load (i32.wrap_i64 (local.get $at)))))
      (else (local.set $at (i64.const 0))))
    (i64.store offset=128 (local.get $head) (local.get $next))
    (if (i64.eqz (local.get $next))
      (then
        (i64.store offset=72 (i32.const 0)
          (i64.xor (local.get $lists) (i64.shl (i64.const 1) (local.get $class))))))
    (local.get $at))

  ;; Gives what a reused block has over `size` back to the lists, when it is worth a block.
  (func $split (param $at i64) (param $size i64) (result i64)
    (local $have i64)
    (local $rest i64)
    (local.set $have (call $size (local.get $at)))
    (local.set $rest (i64.sub (local.get $have) (local.get $size)))
    (if (i64.ge_u (local.get $rest) (i64.const 128))
      (then
        (call $push
          (i64.add (i64.add (local.get $at) (local.get $size)) (i64.const 16))
          (i64.sub (local.get $rest) (i64.const 16)))
        (return (local.get $size))))
    (local.get $have))

  (func $reuse (param $size i64) (result i64)
    (local $class i64)
    (local $at i64)
    (local $larger i64)
    (if (i64.eqz (i64.load offset=72 (i32.const 0))) (then (return (i64.const 0))))
    (local.set $class (call $class (local.get $size)))
    (if (i64.ne
          (local.tee $at (call $pop (local.get $class) (local.get $size)))
          (i64.const 0))
      (then (return (local.get $at))))
    (local.set $larger
      (i64.and
        (i64.load offset=72 (i32.const 0))
        (i64.shl (i64.const -2) (local.get $class))))
    (if (i64.eqz (local.get $larger)) (then (return (i64.const 0))))
    (call $pop (i64.ctz (local.get $larger)) (local.get $size)))

  (func $alloc (param $n i64) (param $size i64) (result i64)
    (local $at i64)
    (local $end i64)
    ;; Where blocks are used again, small ones have a power of two: then each fits the next of its
    ;; kind, and a guest that frees what it allocates never runs out by leaving gaps.
    (if (i32.and
          (i64.ne (i64.load offset=72 (i32.const 0)) (i64.const 0))
          (i64.le_u (local.get $size) (i64.const 4096)))
      (then
        (local.set $size
          (i64.shl
            (i64.const 1)
            (i64.sub
              (i64.const 64)
              (i64.clz (i64.sub (local.get $size) (i64.const 1))))))))
    (local.set $at (call $reuse (local.get $size)))
    (if (i64.ne (local.get $at) (i64.const 0))
      (then (local.set $size (call $split (local.get $at) (local.get $size))))
      (else
        (local.set $at (i64.add (i64.load offset=64 (i32.const 0)) (i64.const 16)))
        (local.set $end (i64.add (local.get $at) (local.get $size)))
        (if (i32.eqz (call $room (local.get $end))) (then (return (i64.const 0))))
        (i64.store offset=64 (i32.const 0) (local.get $end))
        (if (i64.gt_u (local.get $end) (i64.load offset=80 (i32.const 0)))
          (then (i64.store offset=80 (i32.const 0) (local.get $end))))))
    (call $mark (local.get $at) (i64.const 1) (local.get $size) (local.get $n))
    (local.get $at))

  (func (export "alloc") (export "extism_alloc") (param $n i64) (result i64)
    (local $size i64)
    (local $top i64)
    (local $end i64)
    (if (i64.ge_u (i64.sub (local.get $n) (i64.const 1)) (i64.const 0xfffe0000))
      (then (return (i64.const 0))))
    (local.set $size (i64.and (i64.add (local.get $n) (i64.const 15)) (i64.const -16)))
    (local.set $top (i64.load offset=64 (i32.const 0)))
    (local.set $end (i64.add (i64.add (local.get $top) (i64.const 16)) (local.get $size)))
    ;; Nearly always: there is room, and nothing was freed before or little is used. A block is not
    ;; handed out again at once: guests of an older kind free what the host has taken already. The
    ;; same as $alloc, without calls.
    (if (i32.and
          (i32.or
            (i64.eqz (i64.load offset=72 (i32.const 0)))
            (i64.lt_u (local.get $top) (i64.const 0x10000)))
          (i64.le_u
            (i64.sub (local.get $end) (i64.const 512))
            (i64.add (global.get $limit) (i64.const 7))))
      (then
        (i64.store offset=64 (i32.const 0) (local.get $end))
        (if (i64.gt_u (local.get $end) (i64.load offset=80 (i32.const 0)))
          (then (i64.store offset=80 (i32.const 0) (local.get $end))))
        (i64.store (i32.wrap_i64 (local.get $top))
          (i64.add
            (i64.xor
              (i64.add (local.get $top) (i64.const 16))
              (i64.load offset=56 (i32.const 0)))
            (i64.const 1)))
        (i64.store offset=8 (i32.wrap_i64 (local.get $top))
          (i64.or (i64.shl (local.get $size) (i64.const 32)) (local.get $n)))
        (return (i64.add (local.get $top) (i64.const 16)))))
    (call $alloc (local.get $n) (local.get $size)))

  ;; Whether the answer begins in the block.
  (func $answers (param $at i64) (param $size i64) (result i32)
    (i32.and
      (i64.lt_u
        (i64.sub (i64.load offset=24 (i32.const 0)) (local.get $at))
        (local.get $size))
      (i64.ne (i64.load offset=32 (i32.const 0)) (i64.const 0))))

  ;; Gives back a block: the last one is gone, unless it lies before `least`; others wait in a list.
  (func $give_back (param $at i64) (param $size i64) (param $least i64)
    (if (i32.and
          (i64.eq
            (i64.add (local.get $at) (local.get $size))
            (i64.load offset=64 (i32.const 0)))
          (i64.ge_u (local.get $at) (local.get $least)))
      (then
        (call $mark (local.get $at) (i64.const 2) (i64.const 0) (i64.const 0))
        (i64.store offset=64 (i32.const 0) (i64.sub (local.get $at) (i64.const 16))))
      (else (call $push (local.get $at) (local.get $size)))))

  ;; Gives back the kept block `at`, unless it is still read at the end, or of an earlier call.
  (func $let_go (param $at i64)
    (if (i32.eqz (call $is (local.get $at) (i64.const 3))) (then (return)))
    (if (i64.eq (local.get $at) (i64.load offset=40 (i32.const 0))) (then (return)))
    (if (call $answers (local.get $at) (call $size (local.get $at))) (then (return)))
    (call $give_back (local.get $at) (call $size (local.get $at)) (i64.const 0)))

  ;; Keeps a block that is freed although it is read at the end.
  (func $keep (param $at i64) (param $size i64) (result i32)
    (local $p i32)
    (if (i64.eq (local.get $at) (i64.load offset=40 (i32.const 0)))
      (then
        (call $let_go (global.get $kept_error))
        (global.set $kept_error (local.get $at)))
      (else
        (if (i32.eqz (call $answers (local.get $at) (local.get $size)))
          (then (return (i32.const 0))))
        (call $let_go (global.get $kept_output))
        (global.set $kept_output (local.get $at))))
    (local.set $p (i32.wrap_i64 (i64.sub (local.get $at) (i64.const 16))))
    (i64.store (local.get $p) (i64.add (i64.load (local.get $p)) (i64.const 2)))
    (i32.const 1))

  ;; The bytes to put into the lists for a block that is freed; 0 when there are none.
  (func $freed (param $at i64) (result i64)
    (local $size i64)
    (if (i32.eqz (call $is (local.get $at) (i64.const 1))) (then (return (i64.const 0))))
    (if (i64.eq (local.get $at) (i64.load offset=8 (i32.const 0)))
      (then
        (i64.store offset=16 (i32.const 0) (i64.const 0))
        (i64.store offset=48 (i32.const 0) (i64.const 0))))
    (local.set $size (call $size (local.get $at)))
    (if (call $keep (local.get $at) (local.get $size)) (then (return (i64.const 0))))
    (local.get $size))

  (func (export "free") (export "extism_free") (param $at i64)
    (local $size i64)
    (local.set $size (call $freed (local.get $at)))
    (if (i64.ne (local.get $size) (i64.const 0))
      (then (call $give_back (local.get $at) (local.get $size) (i64.const 0)))))

  ;; For the host: frees what a guest gave it. As long as little is used, its place is not the next
  ;; one to be used.
  (func (export "outrider:take") (param $at i64)
    (local $size i64)
    (local.set $size (call $freed (local.get $at)))
    (if (i64.ne (local.get $size) (i64.const 0))
      (then (call $give_back (local.get $at) (local.get $size) (i64.const 0x10000)))))

  (func (export "length") (export "length_unsafe") (export "extism_length")
    (export "extism_length_unsafe") (param $at i64)
    (result i64)
    (if (i32.eqz (call $is (local.get $at) (i64.const 1))) (then (return (i64.const 0))))
    (i64.load32_u (i32.wrap_i64 (i64.sub (local.get $at) (i64.const 8)))))

  (func (export "load_u8") (export "extism_load_u8") (param $at i64) (result i32)
    (if (i32.eqz (call $inside (local.get $at))) (then (return (i32.const 0))))
    (i32.load8_u (i32.wrap_i64 (local.get $at))))

  (func (export "load_u64") (export "extism_load_u64") (param $at i64) (result i64)
    (if (i64.ge_u (i64.sub (local.get $at) (i64.const 512)) (global.get $limit))
      (then (return (i64.const 0))))
    (i64.load (i32.wrap_i64 (local.get $at))))

  (func (export "store_u8") (export "extism_store_u8") (param $at i64) (param $value i32)
    (if (call $inside (local.get $at))
      (then (i32.store8 (i32.wrap_i64 (local.get $at)) (local.get $value)))))

  (func (export "store_u64") (export "extism_store_u64") (param $at i64) (param $value i64)
    (if (i64.lt_u (i64.sub (local.get $at) (i64.const 512)) (global.get $limit))
      (then (i64.store (i32.wrap_i64 (local.get $at)) (local.get $value)))))

  (func (export "input_length") (export "extism_input_length") (result i64)
    (i64.load offset=16 (i32.const 0)))

  (func (export "input_offset") (export "extism_input_offset") (result i64)
    (i64.load offset=8 (i32.const 0)))

  (func (export "input_load_u8") (export "extism_input_load_u8") (param $at i64) (result i32)
    (if (i64.ge_u (local.get $at) (i64.load offset=16 (i32.const 0)))
      (then (return (i32.const 0))))
    (i32.load8_u
      (i32.wrap_i64 (i64.add (i64.load offset=8 (i32.const 0)) (local.get $at)))))

  (func (export "input_load_u64") (export "extism_input_load_u64") (param $at i64) (result i64)
    (if (i64.ge_u (local.get $at) (i64.load offset=48 (i32.const 0)))
      (then (return (i64.const 0))))
    (i64.load
      (i32.wrap_i64 (i64.add (i64.load offset=8 (i32.const 0)) (local.get $at)))))

  ;; Whether `len` bytes from `at` on lie in Extism memory.
  (func $range (param $at i64) (param $len i64) (result i32)
    (if (i32.eqz (call $inside (local.get $at))) (then (return (i32.const 0))))
    (i64.le_u
      (local.get $len)
      (i64.sub (i64.add (global.get $limit) (i64.const 519)) (local.get $at))))

  (func (export "input_set") (export "extism_input_set") (param $at i64) (param $len i64)
    (if (call $range (local.get $at) (local.get $len))
      (then
        (i64.store offset=8 (i32.const 0) (local.get $at))
        (i64.store offset=16 (i32.const 0) (local.get $len))
        (i64.store offset=48 (i32.const 0)
          (select
            (i64.sub (local.get $len) (i64.const 7))
            (i64.const 0)
            (i64.gt_u (local.get $len) (i64.const 7)))))))

  (func (export "output_set") (export "extism_output_set") (param $at i64) (param $len i64)
    (local $from i64)
    (local.set $from (i64.sub (local.get $at) (i64.const 512)))
    (if (i32.and ;; $range, without calls
          (i64.lt_u (local.get $from) (i64.add (global.get $limit) (i64.const 7)))
          (i64.le_u
            (local.get $len)
            (i64.sub (i64.add (global.get $limit) (i64.const 7)) (local.get $from))))
      (then
        (i64.store offset=24 (i32.const 0) (local.get $at))
        (i64.store offset=32 (i32.const 0) (local.get $len)))))

  (func (export "output_offset") (export "extism_output_offset") (result i64)
    (i64.load offset=24 (i32.const 0)))

  (func (export "output_length") (export "extism_output_length") (result i64)
    (i64.load offset=32 (i32.const 0)))

  (func (export "error_set") (export "extism_error_set") (param $at i64)
    (if (i32.or (i64.eqz (local.get $at)) (call $inside (local.get $at)))
      (then
        (i64.store offset=40 (i32.const 0) (local.get $at))
        (call $let_go (global.get $kept_error)))))

  (func (export "error_get") (export "extism_error_get") (result i64)
    (i64.load offset=40 (i32.const 0)))

  ;; Frees and zeroes everything. The host does the same in C; here it is for guests that ask.
  (func (export "reset") (export "extism_reset")
    (local $key i64)
    (local $high i64)
    (local.set $key (i64.load offset=56 (i32.const 0)))
    (local.set $high (i64.load offset=80 (i32.const 0)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.wrap_i64 (local.get $high)))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 128))
    (i64.store offset=56 (i32.const 0)
      (i64.add (local.get $key) (i64.const 0x9e3779b97f4a7c10)))
    (i64.store offset=64 (i32.const 0) (i64.const 512))
    (i64.store offset=80 (i32.const 0) (i64.const 512)))

  (func (export "memory_bytes") (export "extism_memory_bytes") (result i64)
    (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)))

  ;; For the host: makes the memory hold `end` bytes; 0 when it cannot.
  (func (export "outrider:room") (param $end i64) (result i32)
    (call $room (local.get $end)))

  ;; Start values, so that guests may allocate in their start functions: key, first free byte,
  ;; highest.
  (data (i32.const 56) "\10\7c\4a\7f\b9\79\37\9e" "\00\02\00\00\00\00\00\00")
  (data (i32.const 80) "\00\02\00\00\00\00\00\00"))
