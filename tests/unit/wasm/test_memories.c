/* Guests with several memories: which of them host and guest speak of, on both engines alike. */
#include "base/limits.h"
#include "unit/wasm/own_guest.h"

static otr_code open_text(own *o, const char *abi, const char *text, bool rewrite, otr_err *err)
{
    const otr_load_spec spec = {
        .name = "m.wasm", .wasm = otr_bytes_of(text), .abi = abi, .rewrite = rewrite
    };
    return own_open(o, &spec, err);
}

/* Two memories, neither of which is the one of the kernel, where input and output lie. */
static const char extism[] =
    "(module (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
    " (import \"extism:host/env\" \"store_u64\" (func $store (param i64 i64)))"
    " (import \"extism:host/env\" \"input_load_u64\" (func $in (param i64) (result i64)))"
    " (import \"extism:host/env\" \"output_set\" (func $out (param i64 i64)))"
    " (memory $a (export \"memory\") 1) (memory $b 1)"
    " (func (export \"run\") (result i32) (local $p i64)"
    "  (i64.store $b (i32.const 8) (call $in (i64.const 0)))"
    "  (memory.copy $a $b (i32.const 16) (i32.const 8) (i32.const 8))"
    "  (i64.store $b (i32.const 16) (i64.const -1))"
    "  (local.set $p (call $alloc (i64.const 8)))"
    "  (call $store (local.get $p) (i64.load $a (i32.const 16)))"
    "  (call $out (local.get $p) (i64.const 8)) (i32.const 0)))";

static void check_extism(bool rewrite)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_text(&o, NULL, extism, rewrite, &err), err);
    REQUIRE_OK(own_ask(&o, "run", "8 bytes!", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "8 bytes!");
    REQUIRE_OK(own_ask(&o, "run", "the next", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "the next");
}

T(an_extism_guest_has_two_memories_beside_the_kernels)
{
    check_extism(true);
    check_extism(false);
}

#define WAPC(memories)                                                                  \
    "(module (import \"wapc\" \"__guest_request\" (func $request (param i32 i32)))"     \
    " (import \"wapc\" \"__guest_response\" (func $response (param i32 i32)))" memories \
    " (func (export \"__guest_call\") (param i32 i32) (result i32)"                     \
    "  (call $request (i32.const 0) (i32.const 1024))"                                  \
    "  (i32.store8 $other (i32.const 1024) (i32.const 63))"                             \
    "  (call $response (i32.const 1024) (local.get 1)) (i32.const 1)))"

static void check_wapc(const char *text)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_text(&o, NULL, text, false, &err), err);
    REQUIRE_OK(own_ask(&o, "any", "question", &err), err);
    CHECK_STR(otr_buf_text(&o.out), "question");
}

T(a_wapc_guest_speaks_of_the_memory_that_has_the_name)
{
    check_wapc(WAPC("(memory (export \"memory\") 1) (memory $other 1)"));
    check_wapc(WAPC("(memory $other 1) (memory (export \"memory\") 1)"));
    check_wapc(WAPC("(memory $other (export \"mem\") 1) (memory (export \"memory\") 1)"));
    check_wapc(WAPC("(memory $other 1) (memory 1) (memory (export \"memory\") i64 1)"));
}

T(a_wapc_guest_whose_memories_have_other_names_is_refused_at_load)
{
    OWN(o);
    otr_err err = { 0 };
    CHECK_INT(
        open_text(&o, NULL, WAPC("(memory $other (export \"mem\") 1) (memory 1)"), false, &err),
        OTR_EINVAL);
    CHECK_HAS(err.msg, "export memory: the guest's memory is missing");
}

/* What it prints comes from the memory with the name, and goes to the log. */
static const char prints[] =
    "(module (import \"extism:host/env\" \"input_length\" (func (result i64)))"
    " (import \"wasi_snapshot_preview1\" \"fd_write\""
    "  (func $write (param i32 i32 i32 i32) (result i32)))"
    " (memory $hidden 1) (memory $named (export \"memory\") 1)"
    " (data (memory $named) (i32.const 64) \"from the named one\\n\")"
    " (data (memory $hidden) (i32.const 64) \"from the hidden one\\n\")"
    " (func (export \"run\") (result i32)"
    "  (i32.store $named (i32.const 0) (i32.const 64)) (i32.store $named (i32.const 4) "
    "(i32.const 19))"
    "  (i32.store $hidden (i32.const 0) (i32.const 64)) (i32.store $hidden (i32.const 4) "
    "(i32.const 20))"
    "  (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))";

T(wasi_speaks_of_the_memory_that_has_the_name)
{
    OWN(o);
    otr_err err = { 0 };
    REQUIRE_OK(open_text(&o, NULL, prints, true, &err), err);
    REQUIRE_OK(own_ask(&o, "run", "", &err), err);
    CHECK_HAS(otr_buf_text(&o.logged), "from the named one");
}

T(the_limit_of_a_guest_is_that_of_all_its_memories)
{
    static const char text[] =
        "(module (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
        " (memory (export \"memory\") 1) (memory $b 1)"
        " (func (export \"run\") (result i32) (memory.grow 0 (i32.const 6)))"
        " (func (export \"both\") (result i32)"
        "  (i32.eq (memory.grow $b (i32.const 7)) (i32.const -1)))"
        " (func (export \"block\") (result i32)"
        "  (i64.ne (call $alloc (i64.const 131072)) (i64.const 0))))";
    OWN(o);
    otr_err err = { 0 };
    o.spec.max_memory_bytes = 16 * 65536; /* one page is the kernel's */
    REQUIRE_OK(open_text(&o, NULL, text, true, &err), err);
    CHECK_INT(own_ask(&o, "run", "", &err), OTR_EINVAL); /* 1: the size before */
    CHECK_INT(own_ask(&o, "both", "", &err), OTR_OK);
    CHECK_INT(own_ask(&o, "block", "", &err), OTR_OK); /* no block: Extism memory cannot grow */
    CHECK_INT(otr_guest_memory_bytes(o.guest), 16 * 65536);
}
