/* Components in text that ask the host for as much as the types allow; for test_component_limits.c. Each exports
 * `run`, which traps, ends or goes on until it is stopped. */
#ifndef OTR_TESTS_UNIT_PLUGIN_HOSTILE_COMPONENTS_H
#define OTR_TESTS_UNIT_PLUGIN_HOSTILE_COMPONENTS_H

/* clang-format off */

/* 3 MiB of memory, zero throughout: valid UTF-8. What the host answers lies at 65536. */
#define HOSTILE(world, lowers, gives, takes, body) \
    "(component " world \
    "(core module $libc (memory (export \"memory\") 48)" \
    " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))" \
    "(core instance $libc (instantiate $libc))" \
    "(alias core export $libc \"memory\" (core memory $mem))" \
    "(alias core export $libc \"realloc\" (core func $realloc))" \
    lowers \
    "(core module $main (import \"libc\" \"memory\" (memory 48)) " takes \
    " (func (export \"run\") (local $i i32) (local $h i32) " body "))" \
    "(core instance $i (instantiate $main (with \"libc\" (instance $libc))" \
    " (with \"h\" (instance " gives "))))" \
    "(func (export \"run\") (canon lift (core func $i \"run\"))))"

#define FROM(name, of, function) \
    "(core func $" name " (canon lower (func $" of " \"" function "\") (memory $mem) (realloc $realloc)))"
#define GIVEN(name) "(export \"" name "\" (func $" name "))"
#define TAKEN(name, sig) "(import \"h\" \"" name "\" (func $" name " " sig "))"
#define ONE(world, of, function, sig, body) \
    HOSTILE(world, FROM("f", of, function), GIVEN("f"), TAKEN("f", sig), body)
#define OURS(interface, function, type) \
    "(import \"outrider:plugin/" interface "@1.1.0\" (instance $m (export \"" function "\" (func " type "))))"
#define FOREVER(body) "(loop $l " body " (br $l))"
/* 65,536 items of 16 bytes from 1 MiB on, each two texts of 1 MiB: 128 GiB. */
#define ALL_THE_SAME \
    "(loop $l (i32.store offset=0x100000 (local.get $i) (i32.const 0x200000))" \
    " (i32.store offset=0x100004 (local.get $i) (i32.const 0x100000))" \
    " (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 0x100000))))"
#define HUGE "(i32.const 0) (i32.const 0x300000)"
#define PAIRS "(param \"p\" (list (tuple string string)))"
#define TOLD "(result (result (error string)))"
#define SERIES "(param \"n\" string) (param \"v\" f64) (param \"l\" (list (tuple string string))) " TOLD
#define SERIES_CORE "(param i32 i32 f64 i32 i32 i32)"

#define STREAMS \
    "(import \"wasi:io/error@0.2.0\" (instance $error (export \"error\" (type (sub resource)))))" \
    "(alias export $error \"error\" (type $io-error))" \
    "(import \"wasi:io/streams@0.2.0\" (instance $streams" \
    " (export \"output-stream\" (type $out (sub resource)))" \
    " (alias outer 1 $io-error (type $e0)) (export \"error\" (type $e (eq $e0)))" \
    " (type $se0 (variant (case \"last-operation-failed\" (own $e)) (case \"closed\")))" \
    " (export \"stream-error\" (type $se (eq $se0)))" \
    " (export \"[method]output-stream.write\" (func (param \"self\" (borrow $out)) (param \"contents\" (list u8))" \
    "  (result (result (error $se)))))" \
    " (export \"[method]output-stream.write-zeroes\" (func (param \"self\" (borrow $out)) (param \"len\" u64)" \
    "  (result (result (error $se)))))" \
    " (export \"[method]output-stream.blocking-write-and-flush\" (func (param \"self\" (borrow $out))" \
    "  (param \"contents\" (list u8)) (result (result (error $se)))))))" \
    "(alias export $streams \"output-stream\" (type $output-stream))"
#define STDOUT STREAMS \
    "(import \"wasi:cli/stdout@0.2.0\" (instance $stdout (alias outer 1 $output-stream (type $o0))" \
    " (export \"output-stream\" (type $o (eq $o0))) (export \"get-stdout\" (func (result (own $o))))))"
#define POLL \
    "(import \"wasi:io/poll@0.2.0\" (instance $poll (export \"pollable\" (type $p (sub resource)))" \
    " (export \"poll\" (func (param \"in\" (list (borrow $p))) (result (list u32))))))" \
    "(alias export $poll \"pollable\" (type $pollable))" \
    "(import \"wasi:clocks/monotonic-clock@0.2.0\" (instance $clock (alias outer 1 $pollable (type $p0))" \
    " (export \"pollable\" (type $p (eq $p0)))" \
    " (export \"subscribe-duration\" (func (param \"when\" u64) (result (own $p))))))"
#define FIELDS \
    "(import \"wasi:http/types@0.2.0\" (instance $http (export \"fields\" (type $f (sub resource)))" \
    " (type $he0 (variant (case \"invalid-syntax\") (case \"forbidden\") (case \"immutable\")))" \
    " (export \"header-error\" (type $he (eq $he0)))" \
    " (export \"[constructor]fields\" (func (result (own $f))))" \
    " (export \"[static]fields.from-list\" (func (param \"entries\" (list (tuple string (list u8))))" \
    "  (result (result (own $f) (error $he)))))" \
    " (export \"[method]fields.set\" (func (param \"self\" (borrow $f)) (param \"name\" string)" \
    "  (param \"value\" (list (list u8))) (result (result (error $he)))))" \
    " (export \"[method]fields.append\" (func (param \"self\" (borrow $f)) (param \"name\" string)" \
    "  (param \"value\" (list u8)) (result (result (error $he)))))" \
    " (export \"[method]fields.clone\" (func (param \"self\" (borrow $f)) (result (own $f))))))"

static const struct hostile {
    const char *name, *wat;
} hostile[] = {
    { "bus.publish", ONE(OURS("bus", "publish", "(param \"t\" string) (param \"d\" (list u8)) " TOLD),
        "m", "publish", "(param i32 i32 i32 i32 i32)", FOREVER("(call $f " HUGE " " HUGE " (i32.const 600))")) },
    { "log.write", ONE(OURS("log", "write", "(param \"l\" u8) (param \"t\" string)"),
        "m", "write", "(param i32 i32 i32)", FOREVER("(call $f (i32.const 2) " HUGE ")")) },
    { "config.get", ONE(OURS("config", "get", "(param \"k\" string) (result (option string))"),
        "m", "get", "(param i32 i32 i32)", FOREVER("(call $f " HUGE " (i32.const 600))")) },
    { "kv.get", ONE(OURS("kv", "get", "(param \"k\" string) (result (result (option (list u8)) (error string)))"),
        "m", "get", "(param i32 i32 i32)", FOREVER("(call $f " HUGE " (i32.const 600))")) },
    { "kv.set", ONE(OURS("kv", "set", "(param \"k\" string) (param \"v\" (list u8)) " TOLD),
        "m", "set", "(param i32 i32 i32 i32 i32)",
        FOREVER("(call $f (i32.const 0) (i32.const 10) " HUGE " (i32.const 600))")) },
    { "kv.list", ONE(OURS("kv", "list", "(param \"k\" string) (result (result string (error string)))"),
        "m", "list", "(param i32 i32 i32)", FOREVER("(call $f " HUGE " (i32.const 600))")) },
    { "host.call", ONE(OURS("host", "call", "(param \"o\" string) (param \"i\" (list u8)) (result (result (list u8) (error string)))"),
        "m", "call", "(param i32 i32 i32 i32 i32)", FOREVER("(call $f " HUGE " " HUGE " (i32.const 600))")) },
    { "host.call of an inner operation", ONE(OURS("host", "call", "(param \"o\" string) (param \"i\" (list u8)) (result (result (list u8) (error string)))"),
        "m", "call", "(param i32 i32 i32 i32 i32)",
        "(i64.store (i32.const 8) (i64.const 0x707474682e746977))" /* wit.http */
        "(i32.store (i32.const 0x100000) (i32.const 0x80000))"
        FOREVER("(call $f (i32.const 8) (i32.const 8) (i32.const 0x100000) (i32.const 0x200000) (i32.const 600))")) },
    { "metrics.counter", ONE(OURS("metrics", "counter", SERIES), "m", "counter", SERIES_CORE, ALL_THE_SAME
        FOREVER("(call $f " HUGE " (f64.const 1) (i32.const 0x100000) (i32.const 65536) (i32.const 600))")) },
    { "metrics.gauge, empty labels", ONE(OURS("metrics", "gauge", SERIES), "m", "gauge", SERIES_CORE,
        FOREVER("(call $f (i32.const 0) (i32.const 9) (f64.const 1) (i32.const 0) (i32.const 196608) (i32.const 600))")) },
    { "http.request", ONE(
        "(import \"outrider:plugin/http@1.1.0\" (instance $m (type $r0 (record (field \"status\" u16)"
        " (field \"headers\" (list (tuple string string))) (field \"body\" (list u8)))) (export \"response\" (type $r (eq $r0)))"
        " (export \"request\" (func (param \"m\" string) (param \"u\" string) (param \"h\" (list (tuple string string)))"
        "  (param \"b\" (list u8)) (result (result $r (error string)))))))",
        "m", "request", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32)", ALL_THE_SAME
        FOREVER("(call $f (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 9) (i32.const 0x100000)"
        " (i32.const 65536) " HUGE " (i32.const 600))")) },
    { "random.bytes", ONE(OURS("random", "bytes", "(param \"n\" u32) (result (result (list u8) (error string)))"),
        "m", "bytes", "(param i32 i32)", FOREVER("(call $f (i32.const -1) (i32.const 600))")) },
    { "env.get", ONE(OURS("env", "get", "(param \"n\" string) (result (result (option string) (error string)))"),
        "m", "get", "(param i32 i32 i32)", FOREVER("(call $f " HUGE " (i32.const 600))")) },
    { "secrets.get", ONE(OURS("secrets", "get", "(param \"n\" string) (result (result (list u8) (error string)))"),
        "m", "get", "(param i32 i32 i32)", FOREVER("(call $f " HUGE " (i32.const 600))")) },
    { "wasi random, 4 GiB", ONE("(import \"wasi:random/random@0.2.0\" (instance $m (export \"get-random-bytes\""
        " (func (param \"len\" u64) (result (list u8))))))",
        "m", "get-random-bytes", "(param i64 i32)", "(call $f (i64.const 0x100000000) (i32.const 600))") },
    { "wasi insecure random, 63 MiB", ONE("(import \"wasi:random/insecure@0.2.0\" (instance $m (export"
        " \"get-insecure-random-bytes\" (func (param \"len\" u64) (result (list u8))))))",
        "m", "get-insecure-random-bytes", "(param i64 i32)", "(call $f (i64.const 0x3f00000) (i32.const 600))") },
    { "wasi stdout, 3 MiB at once", HOSTILE(STDOUT,
        FROM("out", "stdout", "get-stdout") FROM("f", "streams", "[method]output-stream.write"),
        GIVEN("out") GIVEN("f"), TAKEN("out", "(result i32)") TAKEN("f", "(param i32 i32 i32 i32)"),
        "(local.set $h (call $out))" FOREVER("(call $f (local.get $h) " HUGE " (i32.const 600))")) },
    { "wasi stdout, 2^64 zeroes", HOSTILE(STDOUT,
        FROM("out", "stdout", "get-stdout") FROM("f", "streams", "[method]output-stream.write-zeroes"),
        GIVEN("out") GIVEN("f"), TAKEN("out", "(result i32)") TAKEN("f", "(param i32 i64 i32)"),
        "(local.set $h (call $out))" FOREVER("(call $f (local.get $h) (i64.const -1) (i32.const 600))")) },
    { "wasi stdout, a stream each time", HOSTILE(STDOUT, FROM("out", "stdout", "get-stdout"), GIVEN("out"),
        TAKEN("out", "(result i32)"), FOREVER("(drop (call $out))")) },
    { "wasi timers without end", HOSTILE(POLL, FROM("f", "clock", "subscribe-duration"), GIVEN("f"),
        TAKEN("f", "(param i64) (result i32)"), FOREVER("(drop (call $f (i64.const -1)))")) },
    { "wasi poll of one timer 700,000 times", HOSTILE(POLL,
        FROM("t", "clock", "subscribe-duration") FROM("f", "poll", "poll"), GIVEN("t") GIVEN("f"),
        TAKEN("t", "(param i64) (result i32)") TAKEN("f", "(param i32 i32 i32)"),
        "(local.set $h (call $t (i64.const 0)))"
        "(loop $fill (i32.store offset=1024 (local.get $i) (local.get $h))"
        " (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 2800000))))"
        FOREVER("(call $f (i32.const 1024) (i32.const 700000) (i32.const 600))")) },
    { "http fields from 65,536 entries", HOSTILE(FIELDS, FROM("f", "http", "[static]fields.from-list"), GIVEN("f"),
        TAKEN("f", "(param i32 i32 i32)"), ALL_THE_SAME
        FOREVER("(call $f (i32.const 0x100000) (i32.const 65536) (i32.const 600))")) },
    { "http fields, a value appended again and again", HOSTILE(FIELDS,
        FROM("n", "http", "[constructor]fields") FROM("f", "http", "[method]fields.append"), GIVEN("n") GIVEN("f"),
        TAKEN("n", "(result i32)") TAKEN("f", "(param i32 i32 i32 i32 i32 i32)"),
        "(i32.store8 (i32.const 8) (i32.const 97)) (i32.store8 (i32.const 0x100000) (i32.const 98))"
        "(local.set $h (call $n))"
        FOREVER("(call $f (local.get $h) (i32.const 8) (i32.const 1) (i32.const 0x100000) (i32.const 1) (i32.const 600))")) },
    { "http fields, a million empty values", HOSTILE(FIELDS,
        FROM("n", "http", "[constructor]fields") FROM("f", "http", "[method]fields.set"), GIVEN("n") GIVEN("f"),
        TAKEN("n", "(result i32)") TAKEN("f", "(param i32 i32 i32 i32 i32 i32)"),
        "(i32.store8 (i32.const 8) (i32.const 97)) (local.set $h (call $n))"
        FOREVER("(call $f (local.get $h) (i32.const 8) (i32.const 1) (i32.const 1024) (i32.const 380000) (i32.const 600))")) },
    { "http fields, copies of copies", HOSTILE(FIELDS,
        FROM("n", "http", "[constructor]fields") FROM("f", "http", "[method]fields.append")
        FROM("c", "http", "[method]fields.clone"), GIVEN("n") GIVEN("f") GIVEN("c"),
        TAKEN("n", "(result i32)") TAKEN("f", "(param i32 i32 i32 i32 i32 i32)") TAKEN("c", "(param i32) (result i32)"),
        "(i32.store8 (i32.const 8) (i32.const 97)) (local.set $h (call $n)) (memory.fill (i32.const 1024) (i32.const 98) (i32.const 65536))"
        "(call $f (local.get $h) (i32.const 8) (i32.const 1) (i32.const 1024) (i32.const 60000) (i32.const 600))"
        FOREVER("(drop (call $c (local.get $h)))")) },
    { "sockets without end", ONE("(import \"wasi:sockets/network@0.2.0\" (instance $net"
        " (export \"network\" (type (sub resource)))))"
        "(alias export $net \"network\" (type $network))"
        "(import \"wasi:sockets/instance-network@0.2.0\" (instance $m (alias outer 1 $network (type $n0))"
        " (export \"network\" (type $n (eq $n0))) (export \"instance-network\" (func (result (own $n))))))",
        "m", "instance-network", "(result i32)", FOREVER("(drop (call $f))")) },
    { "resources of its own", "(component (type $r (resource (rep i32)))"
        "(core func $new (canon resource.new $r))"
        "(core module $m (import \"h\" \"new\" (func $new (param i32) (result i32)))"
        " (func (export \"run\") (loop $l (drop (call $new (i32.const 1))) (br $l))))"
        "(core instance $i (instantiate $m (with \"h\" (instance (export \"new\" (func $new))))))"
        "(func (export \"run\") (canon lift (core func $i \"run\"))))" },
    { "an error text of 3 MiB", "(component "
        "(core module $m (memory (export \"memory\") 48) (func (export \"run\") (param i32 i32) (result i32)"
        " (i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 65536))"
        " (i32.store (i32.const 24) (i32.const 3000000)) (i32.const 16))"
        " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8)))"
        "(core instance $i (instantiate $m)) (alias core export $i \"memory\" (core memory $mem))"
        "(func (export \"run\") (param \"in\" (list u8)) (result (result (list u8) (error string)))"
        " (canon lift (core func $i \"run\") (memory $mem) (realloc (func $i \"realloc\")))))" },
};

/* clang-format on */

#endif
