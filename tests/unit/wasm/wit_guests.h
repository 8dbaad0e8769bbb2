/* Components in text for test_wit.c. */
#ifndef OTR_TESTS_UNIT_WASM_WIT_GUESTS_H
#define OTR_TESTS_UNIT_WASM_WIT_GUESTS_H

/* clang-format off */

/* Memory, a bump allocator and a result area at 16. A finished call frees all, which spoils it. */
#define LIBC \
    "(core module $libc (memory (export \"memory\") 1) (global $top (mut i32) (i32.const 4096))" \
    " (func (export \"done\") (param i32)" \
    "  (memory.fill (i32.const 16) (i32.const 238) (i32.const 12))" \
    "  (memory.fill (i32.const 4096) (i32.const 238) (i32.sub (global.get $top) (i32.const 4096)))" \
    "  (global.set $top (i32.const 4096)))" \
    " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (local $at i32)" \
    "  (local.set $at (global.get $top))" \
    "  (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 7))" \
    "   (i32.const -8)))" \
    "  (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))" \
    "   (then (if (i32.eq (memory.grow (i32.sub (i32.add (i32.shr_u (global.get $top)" \
    "    (i32.const 16)) (i32.const 1)) (memory.size))) (i32.const -1)) (then unreachable))))" \
    "  (local.get $at)))" \
    "(core instance $libc (instantiate $libc))" \
    "(alias core export $libc \"memory\" (core memory $mem))" \
    "(alias core export $libc \"realloc\" (core func $realloc))" \
    "(alias core export $libc \"done\" (core func $done))"

#define USE_MEMORY "(import \"libc\" \"memory\" (memory 1))"

#define LIFT_AS(name, result) \
    "(func (export \"" name "\") (param \"in\" (list u8)) (result " result ")" \
    " (canon lift (core func $i \"" name "\") (memory $mem) (realloc $realloc) (post-return $done)))"
#define LIFT_PLAIN(name) LIFT_AS(name, "(list u8)")
#define LIFT(name) LIFT_AS(name, "(result (list u8) (error string))")

#define OP(name) "(func $" name " (export \"" name "\") (param $p i32) (param $n i32) (result i32) "

/* Result area: case at 16, pointer at 20, length at 24. */
#define ANSWER(which, at, len) \
    "(i32.store8 (i32.const 16) " which ") (i32.store (i32.const 20) " at ")" \
    " (i32.store (i32.const 24) " len ") (i32.const 16))"

static const char plain[] =
    "(component " LIBC "(core module $m " USE_MEMORY " (data (i32.const 100) \"asked to fail\")"
    OP("echo") "(i32.store (i32.const 16) (local.get $p)) (i32.store (i32.const 20) (local.get $n))"
    " (i32.const 16))"
    OP("checked") ANSWER("(i32.const 0)", "(local.get $p)", "(local.get $n)")
    OP("fail") ANSWER("(i32.const 1)", "(i32.const 100)", "(i32.const 13)")
    OP("wild") ANSWER("(i32.const 0)", "(i32.const -16)", "(i32.const 64)")
    " (func $deeper unreachable)"
    OP("trap") "call $deeper unreachable)"
    OP("dive") "(call $dive (local.get $p) (local.get $n)) drop i32.const 16)"
    OP("loop") "(loop (br 0)) unreachable)"
    OP("eat") "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)"
    " (func (export \"number\") (param i64) (result i64) (local.get 0)))"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc))))"
    LIFT_PLAIN("echo") LIFT("checked") LIFT("fail") LIFT("wild") LIFT("trap") LIFT("dive")
    LIFT("loop") LIFT("eat")
    "(func (export \"number\") (param \"n\" u64) (result u64) (canon lift (core func $i \"number\"))))";

/* ---- every host operation; in three parts, as C limits the length of a string ---- */

#define TWO \
    "(i32.add (local.get $p) (i32.const 1)) (i32.load8_u (local.get $p))" \
    " (i32.add (i32.add (local.get $p) (i32.const 1)) (i32.load8_u (local.get $p)))" \
    " (i32.sub (i32.sub (local.get $n) (i32.const 1)) (i32.load8_u (local.get $p)))"
#define CLEAR "(i64.store (i32.const 16) (i64.const 0)) (i64.store (i32.const 24) (i64.const 0))"
#define LOWER(name, of, what) \
    "(core func $" name " (canon lower (func $" of " \"" what "\") (memory $mem) (realloc $realloc)))"
#define GIVE(name) "(export \"" name "\" (func $" name "))"
#define TAKE(name, params) "(import \"host\" \"" name "\" (func $h-" name " (param " params ")))"

static const char asks_world[] =
    "(component"
    "(import \"outrider:plugin/bus@1.0.0\" (instance $bus (export \"publish\""
    " (func (param \"topic\" string) (param \"data\" (list u8)) (result (result (error string)))))))"
    "(import \"outrider:plugin/log@1.0.0\" (instance $log (export \"write\""
    " (func (param \"level\" u8) (param \"line\" string)))))"
    "(import \"outrider:plugin/config@1.0.0\" (instance $config (export \"get\""
    " (func (param \"key\" string) (result (option string))))))"
    "(import \"outrider:plugin/kv@1.0.0\" (instance $kv"
    " (export \"get\" (func (param \"key\" string) (result (result (option (list u8)) (error string)))))"
    " (export \"set\" (func (param \"key\" string) (param \"value\" (list u8)) (result (result (error string)))))"
    " (export \"delete\" (func (param \"key\" string) (result (result string (error string)))))"
    " (export \"list\" (func (param \"prefix\" string) (result (result string (error string)))))))"
    "(import \"outrider:plugin/host@1.0.0\" (instance $host (export \"call\""
    " (func (param \"operation\" string) (param \"input\" (list u8)) (result (result (list u8) (error string)))))))"
    LIBC;

/* Input of publish, set, call: a byte with the length of the first operand, both operands. */
static const char asks_guest[] =
    LOWER("publish", "bus", "publish") LOWER("log", "log", "write") LOWER("config", "config", "get")
    LOWER("get", "kv", "get") LOWER("set", "kv", "set") LOWER("delete", "kv", "delete")
    LOWER("list", "kv", "list") LOWER("call", "host", "call")
    "(core module $m " USE_MEMORY
    TAKE("publish", "i32 i32 i32 i32 i32") TAKE("log", "i32 i32 i32") TAKE("config", "i32 i32 i32")
    TAKE("get", "i32 i32 i32") TAKE("set", "i32 i32 i32 i32 i32") TAKE("delete", "i32 i32 i32")
    TAKE("list", "i32 i32 i32") TAKE("call", "i32 i32 i32 i32 i32")
    OP("publish") CLEAR "(call $h-publish " TWO " (i32.const 16)) (i32.const 16))"
    OP("set") CLEAR "(call $h-set " TWO " (i32.const 16)) (i32.const 16))"
    OP("call") CLEAR "(call $h-call " TWO " (i32.const 16)) (i32.const 16))";

static const char asks_exports[] =
    OP("delete") CLEAR "(call $h-delete (local.get $p) (local.get $n) (i32.const 16)) (i32.const 16))"
    OP("list") CLEAR "(call $h-list (local.get $p) (local.get $n) (i32.const 16)) (i32.const 16))"
    OP("log") CLEAR "(call $h-log (i32.load8_u (local.get $p)) (i32.add (local.get $p) (i32.const 1))"
    " (i32.sub (local.get $n) (i32.const 1))) (i32.const 16))"
    /* none becomes an error without text */
    OP("config") CLEAR "(call $h-config (local.get $p) (local.get $n) (i32.const 16))"
    " (i32.store8 (i32.const 16) (i32.eqz (i32.load8_u (i32.const 16)))) (i32.const 16))"
    OP("get") CLEAR "(call $h-get (local.get $p) (local.get $n) (i32.const 16))"
    " (if (i32.eqz (i32.load8_u (i32.const 16))) (then"
    "  (i32.store8 (i32.const 16) (i32.eqz (i32.load8_u (i32.const 20))))"
    "  (i64.store (i32.const 20) (i64.load (i32.const 24)))))"
    " (i32.const 16)))"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"host\" (instance"
    GIVE("publish") GIVE("log") GIVE("config") GIVE("get") GIVE("set") GIVE("delete") GIVE("list")
    GIVE("call") "))))"
    LIFT("publish") LIFT("log") LIFT("config") LIFT("get") LIFT("set") LIFT("delete") LIFT("list")
    LIFT("call") ")";

/* ---- WASI ---- */

/* Answers with two bytes: how many variables and folders it can see. */
static const char looks[] =
    "(component"
    "(import \"wasi:cli/environment@0.2.0\" (instance $env (export \"get-environment\""
    " (func (result (list (tuple string string)))))))"
    "(import \"wasi:filesystem/types@0.2.0\" (instance $types (export \"descriptor\" (type (sub resource)))))"
    "(alias export $types \"descriptor\" (type $descriptor))"
    "(import \"wasi:filesystem/preopens@0.2.0\" (instance $dirs"
    " (alias outer 1 $descriptor (type $inner)) (export \"descriptor\" (type $d (eq $inner)))"
    " (export \"get-directories\" (func (result (list (tuple (own $d) string)))))))"
    LIBC LOWER("env", "env", "get-environment") LOWER("dirs", "dirs", "get-directories")
    "(core module $m " USE_MEMORY TAKE("env", "i32") TAKE("dirs", "i32")
    OP("look") "(call $h-env (i32.const 64)) (call $h-dirs (i32.const 72))"
    " (i32.store8 (i32.const 48) (i32.load (i32.const 68)))"
    " (i32.store8 (i32.const 49) (i32.load (i32.const 76)))"
    ANSWER("(i32.const 0)", "(i32.const 48)", "(i32.const 2)") ")"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"host\" (instance"
    GIVE("env") GIVE("dirs") "))))" LIFT("look") ")";

/* Waits for an hour, as WASI's sleep does; "nap" for a millisecond. */
static const char sleeps[] =
    "(component"
    "(import \"wasi:io/poll@0.2.0\" (instance $poll (export \"pollable\" (type $p (sub resource)))"
    " (export \"[method]pollable.block\" (func (param \"self\" (borrow $p))))))"
    "(alias export $poll \"pollable\" (type $pollable))"
    "(import \"wasi:clocks/monotonic-clock@0.2.0\" (instance $clock"
    " (alias outer 1 $pollable (type $inner)) (export \"pollable\" (type $p (eq $inner)))"
    " (export \"subscribe-duration\" (func (param \"when\" u64) (result (own $p))))))"
    LIBC "(core func $after (canon lower (func $clock \"subscribe-duration\")))"
    "(core func $block (canon lower (func $poll \"[method]pollable.block\")))"
    "(core module $m " USE_MEMORY
    "(import \"host\" \"after\" (func $after (param i64) (result i32)))" TAKE("block", "i32")
    OP("nap") "(call $h-block (call $after (i64.const 1000000)))"
    ANSWER("(i32.const 0)", "(local.get $p)", "(local.get $n)")
    OP("sleep") "(call $h-block (call $after (i64.const 3600000000000))) (i32.const 16)))"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"host\" (instance"
    GIVE("after") GIVE("block") "))))" LIFT("nap") LIFT("sleep") ")";

/* clang-format on */

#endif
