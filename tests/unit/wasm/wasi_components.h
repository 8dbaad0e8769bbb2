/* Components in text that use WASI preview 2; for test_wit_wasi.c. */
#ifndef OTR_TESTS_UNIT_WASM_WASI_COMPONENTS_H
#define OTR_TESTS_UNIT_WASM_WASI_COMPONENTS_H

/* clang-format off */

#define V "@0.2.0"
#define STREAMS \
    "(import \"wasi:io/error" V "\" (instance $error (export \"error\" (type (sub resource)))))" \
    "(alias export $error \"error\" (type $io-error))" \
    "(import \"wasi:io/streams" V "\" (instance $streams" \
    " (export \"input-stream\" (type $in (sub resource))) (export \"output-stream\" (type $out (sub resource)))" \
    " (alias outer 1 $io-error (type $e0)) (export \"error\" (type $e (eq $e0)))" \
    " (type $se0 (variant (case \"last-operation-failed\" (own $e)) (case \"closed\")))" \
    " (export \"stream-error\" (type $se (eq $se0)))" \
    " (export \"[method]input-stream.blocking-read\" (func (param \"self\" (borrow $in)) (param \"len\" u64)" \
    "  (result (result (list u8) (error $se)))))" \
    " (export \"[method]output-stream.blocking-write-and-flush\" (func (param \"self\" (borrow $out))" \
    "  (param \"contents\" (list u8)) (result (result (error $se)))))))" \
    "(alias export $streams \"output-stream\" (type $output-stream))" \
    "(alias export $streams \"input-stream\" (type $input-stream))"
#define PRINT(fd) \
    "(import \"wasi:cli/std" fd V "\" (instance $std" fd " (alias outer 1 $output-stream (type $o0))" \
    " (export \"output-stream\" (type $o (eq $o0))) (export \"get-std" fd "\" (func (result (own $o))))))"
#define MEMORY(pages) \
    "(core module $libc (memory (export \"memory\") " pages ") (global $top (mut i32) (i32.const 32768))" \
    " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)" \
    "  (global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get 3)) (i32.const 15)) (i32.const -16)))" \
    "  (i32.sub (global.get $top) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -16)))))" \
    "(core instance $libc (instantiate $libc))" \
    "(alias core export $libc \"memory\" (core memory $mem))" \
    "(alias core export $libc \"realloc\" (core func $realloc))"
#define FROM(name, of, function) \
    "(core func $" name " (canon lower (func $" of " \"" function "\") (memory $mem) (realloc $realloc)))"
#define GIVEN(name) "(export \"" name "\" (func $" name "))"
#define TAKEN(name, sig) "(import \"h\" \"" name "\" (func $" name " " sig "))"
#define LIFTED(name, result) \
    "(func (export \"" name "\") (param \"in\" (list u8)) (result " result ")" \
    " (canon lift (core func $i \"" name "\") (memory $mem) (realloc $realloc)))"

/* `say` prints its input to standard output as it is, `warn` to standard error; `die` prints and traps. */
static const char prints[] =
    "(component " STREAMS PRINT("out") PRINT("err") MEMORY("2")
    FROM("out", "stdout", "get-stdout") FROM("err", "stderr", "get-stderr")
    FROM("write", "streams", "[method]output-stream.blocking-write-and-flush")
    "(core module $m (import \"libc\" \"memory\" (memory 1))"
    TAKEN("out", "(result i32)") TAKEN("err", "(result i32)") TAKEN("write", "(param i32 i32 i32 i32)")
    " (func (export \"say\") (param i32 i32) (result i32)"
    "  (call $write (call $out) (local.get 0) (local.get 1) (i32.const 64)) (i32.const 16))"
    " (func (export \"warn\") (param i32 i32) (result i32)"
    "  (call $write (call $err) (local.get 0) (local.get 1) (i32.const 64)) (i32.const 16))"
    " (func (export \"die\") (param i32 i32) (result i32)"
    "  (call $write (call $out) (local.get 0) (local.get 1) (i32.const 64)) unreachable))"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"h\" (instance"
    GIVEN("out") GIVEN("err") GIVEN("write") "))))"
    LIFTED("say", "(list u8)") LIFTED("warn", "(list u8)") LIFTED("die", "(list u8)") ")";

/* It prints while it is made. */
static const char prints_at_start[] =
    "(component " STREAMS PRINT("out") MEMORY("2")
    FROM("out", "stdout", "get-stdout")
    FROM("write", "streams", "[method]output-stream.blocking-write-and-flush")
    "(core module $m (import \"libc\" \"memory\" (memory 1))"
    TAKEN("out", "(result i32)") TAKEN("write", "(param i32 i32 i32 i32)")
    " (data (i32.const 100) \"born\")"
    " (func $f (call $write (call $out) (i32.const 100) (i32.const 4) (i32.const 64))) (start $f))"
    "(core instance (instantiate $m (with \"libc\" (instance $libc)) (with \"h\" (instance"
    GIVEN("out") GIVEN("write") ")))))";

#define SIZE "(option u32)"
/* In parts, as C limits the length of a string. */
static const char http_world[] =
    "(component " STREAMS
    "(import \"wasi:http/types" V "\" (instance $http"
    " (type $m0 (variant (case \"get\") (case \"head\") (case \"post\") (case \"put\") (case \"delete\")"
    "  (case \"connect\") (case \"options\") (case \"trace\") (case \"patch\") (case \"other\" string)))"
    " (export \"method\" (type $method (eq $m0)))"
    " (type $s0 (variant (case \"HTTP\") (case \"HTTPS\") (case \"other\" string)))"
    " (export \"scheme\" (type $scheme (eq $s0)))"
    " (type $he0 (variant (case \"invalid-syntax\") (case \"forbidden\") (case \"immutable\")))"
    " (export \"header-error\" (type $he (eq $he0)))"
    " (type $d0 (record (field \"rcode\" (option string)) (field \"info-code\" (option u16))))"
    " (export \"DNS-error-payload\" (type $dns (eq $d0)))"
    " (type $t0 (record (field \"alert-id\" (option u8)) (field \"alert-message\" (option string))))"
    " (export \"TLS-alert-received-payload\" (type $tls (eq $t0)))"
    " (type $z0 (record (field \"field-name\" (option string)) (field \"field-size\" (option u32))))"
    " (export \"field-size-payload\" (type $fs (eq $z0)))"
    " (type $ec0 (variant (case \"DNS-timeout\") (case \"DNS-error\" $dns) (case \"destination-not-found\")"
    " (case \"destination-unavailable\") (case \"destination-IP-prohibited\") (case \"destination-IP-unroutable\")"
    " (case \"connection-refused\") (case \"connection-terminated\") (case \"connection-timeout\")"
    " (case \"connection-read-timeout\") (case \"connection-write-timeout\") (case \"connection-limit-reached\")"
    " (case \"TLS-protocol-error\") (case \"TLS-certificate-error\") (case \"TLS-alert-received\" $tls)"
    " (case \"HTTP-request-denied\") (case \"HTTP-request-length-required\") (case \"HTTP-request-body-size\" (option u64))"
    " (case \"HTTP-request-method-invalid\") (case \"HTTP-request-URI-invalid\") (case \"HTTP-request-URI-too-long\")"
    " (case \"HTTP-request-header-section-size\" " SIZE ") (case \"HTTP-request-header-size\" (option $fs))"
    " (case \"HTTP-request-trailer-section-size\" " SIZE ") (case \"HTTP-request-trailer-size\" $fs)"
    " (case \"HTTP-response-incomplete\") (case \"HTTP-response-header-section-size\" " SIZE ")";

static const char http_more[] =
    " (case \"HTTP-response-header-size\" $fs) (case \"HTTP-response-body-size\" (option u64))"
    " (case \"HTTP-response-trailer-section-size\" " SIZE ") (case \"HTTP-response-trailer-size\" $fs)"
    " (case \"HTTP-response-transfer-coding\" (option string)) (case \"HTTP-response-content-coding\" (option string))"
    " (case \"HTTP-response-timeout\") (case \"HTTP-upgrade-failed\") (case \"HTTP-protocol-error\")"
    " (case \"loop-detected\") (case \"configuration-error\") (case \"internal-error\" (option string))))"
    " (export \"error-code\" (type $ec (eq $ec0)))"
    " (export \"fields\" (type $f (sub resource))) (export \"outgoing-request\" (type $or (sub resource)))"
    " (export \"outgoing-body\" (type $ob (sub resource))) (export \"request-options\" (type $opt (sub resource)))"
    " (export \"future-incoming-response\" (type $fut (sub resource)))"
    " (export \"incoming-response\" (type $ir (sub resource))) (export \"incoming-body\" (type $ib (sub resource)))"
    " (alias outer 1 $input-stream (type $in0)) (export \"input-stream\" (type $in (eq $in0)))"
    " (alias outer 1 $output-stream (type $out0)) (export \"output-stream\" (type $out (eq $out0)))"
    " (export \"[constructor]fields\" (func (result (own $f))))"
    " (export \"[method]fields.append\" (func (param \"self\" (borrow $f)) (param \"name\" string)"
    "  (param \"value\" (list u8)) (result (result (error $he)))))"
    " (export \"[constructor]outgoing-request\" (func (param \"headers\" (own $f)) (result (own $or))))"
    " (export \"[method]outgoing-request.set-authority\" (func (param \"self\" (borrow $or))"
    "  (param \"authority\" (option string)) (result (result))))"
    " (export \"[method]outgoing-request.set-method\" (func (param \"self\" (borrow $or))"
    "  (param \"method\" $method) (result (result))))"
    " (export \"[method]outgoing-request.body\" (func (param \"self\" (borrow $or)) (result (result (own $ob)))))"
    " (export \"[method]outgoing-body.write\" (func (param \"self\" (borrow $ob)) (result (result (own $out)))))"
    " (export \"[static]outgoing-body.finish\" (func (param \"this\" (own $ob)) (param \"trailers\" (option (own $f)))"
    "  (result (result (error $ec)))))"
    " (export \"[method]future-incoming-response.get\" (func (param \"self\" (borrow $fut))"
    "  (result (option (result (result (own $ir) (error $ec)))))))"
    " (export \"[method]incoming-response.consume\" (func (param \"self\" (borrow $ir)) (result (result (own $ib)))))"
    " (export \"[method]incoming-body.stream\" (func (param \"self\" (borrow $ib)) (result (result (own $in)))))))"
    "(alias export $http \"outgoing-request\" (type $request))"
    "(alias export $http \"request-options\" (type $options))"
    "(alias export $http \"future-incoming-response\" (type $future))"
    "(alias export $http \"error-code\" (type $code))"
    "(import \"wasi:http/outgoing-handler" V "\" (instance $handler"
    " (alias outer 1 $request (type $r0)) (export \"outgoing-request\" (type $r (eq $r0)))"
    " (alias outer 1 $options (type $o0)) (export \"request-options\" (type $o (eq $o0)))"
    " (alias outer 1 $future (type $u0)) (export \"future-incoming-response\" (type $u (eq $u0)))"
    " (alias outer 1 $code (type $c0)) (export \"error-code\" (type $c (eq $c0)))"
    " (export \"handle\" (func (param \"request\" (own $r)) (param \"options\" (option (own $o)))"
    "  (result (result (own $u) (error $c)))))))";

/* `get`: GET https://INPUT/ with a header; `post`: as POST with a content-length of 4, the body is the input. Both answer with the body that came,
 * or with "!" and the case of the error code; `early` asks for the answer before the body is finished. */
static const char http_guest[] =
    MEMORY("4") FROM("fields", "http", "[constructor]fields") FROM("append", "http", "[method]fields.append")
    FROM("request", "http", "[constructor]outgoing-request")
    FROM("authority", "http", "[method]outgoing-request.set-authority")
    FROM("method", "http", "[method]outgoing-request.set-method")
    FROM("body", "http", "[method]outgoing-request.body") FROM("write", "http", "[method]outgoing-body.write")
    FROM("finish", "http", "[static]outgoing-body.finish") FROM("handle", "handler", "handle")
    FROM("get", "http", "[method]future-incoming-response.get")
    FROM("consume", "http", "[method]incoming-response.consume") FROM("stream", "http", "[method]incoming-body.stream")
    FROM("read", "streams", "[method]input-stream.blocking-read")
    FROM("send", "streams", "[method]output-stream.blocking-write-and-flush");

static const char http_module[] =
    "(core module $m (import \"libc\" \"memory\" (memory 1))"
    TAKEN("fields", "(result i32)") TAKEN("append", "(param i32 i32 i32 i32 i32 i32)")
    TAKEN("request", "(param i32) (result i32)") TAKEN("authority", "(param i32 i32 i32 i32) (result i32)")
    TAKEN("method", "(param i32 i32 i32 i32) (result i32)") TAKEN("body", "(param i32 i32)")
    TAKEN("write", "(param i32 i32)") TAKEN("finish", "(param i32 i32 i32 i32)")
    TAKEN("handle", "(param i32 i32 i32 i32)") TAKEN("get", "(param i32 i32)") TAKEN("consume", "(param i32 i32)")
    TAKEN("stream", "(param i32 i32)") TAKEN("read", "(param i32 i64 i32)") TAKEN("send", "(param i32 i32 i32 i32)")
    " (data (i32.const 100) \"x-asked\") (data (i32.const 110) \"yes\") (data (i32.const 120) \"example.com\")"
    " (data (i32.const 140) \"content-length\") (data (i32.const 160) \"4\")"
    " (func $answer (param $at i32) (param $n i32) (result i32)"
    "  (i32.store (i32.const 16) (local.get $at)) (i32.store (i32.const 20) (local.get $n)) (i32.const 16))"
    " (func $failed (param $case i32) (result i32)"
    "  (i32.store8 (i32.const 200) (i32.const 33))"
    "  (i32.store8 (i32.const 201) (i32.add (i32.const 65) (local.get $case)))"
    "  (call $answer (i32.const 200) (i32.const 2)))"
    " (func $new (param $at i32) (param $n i32) (param $length i32) (result i32) (local $h i32)"
    "  (local.set $h (call $fields))"
    "  (if (local.get $length) (then"
    "   (call $append (local.get $h) (i32.const 140) (i32.const 14) (i32.const 160) (i32.const 1) (i32.const 300))))"
    "  (call $append (local.get $h) (i32.const 100) (i32.const 7) (i32.const 110) (i32.const 3) (i32.const 300))"
    "  (local.set $h (call $request (local.get $h)))"
    "  (drop (call $authority (local.get $h) (i32.const 1) (local.get $at) (local.get $n)))"
    "  (local.get $h))"
    /* what the future at `f` has */
    " (func $collect (param $f i32) (result i32)"
    "  (call $get (local.get $f) (i32.const 512))"
    "  (if (i32.eqz (i32.load8_u (i32.const 512))) (then (return (call $failed (i32.const 60)))))"
    "  (if (i32.load8_u (i32.const 528)) (then (return (call $failed (i32.load8_u (i32.const 536))))))"
    "  (call $consume (i32.load (i32.const 536)) (i32.const 600))"
    "  (call $stream (i32.load (i32.const 604)) (i32.const 600))"
    "  (call $read (i32.load (i32.const 604)) (i64.const 1000) (i32.const 620))"
    "  (call $answer (i32.load (i32.const 624)) (i32.load (i32.const 628))))"
    " (func $go (param $r i32) (result i32)"
    "  (call $handle (local.get $r) (i32.const 0) (i32.const 0) (i32.const 400))"
    "  (i32.load8_u (i32.const 400)))";

static const char http_exports[] =
    " (func (export \"get\") (param i32 i32) (result i32)"
    "  (if (result i32) (call $go (call $new (local.get 0) (local.get 1) (i32.const 0)))"
    "   (then (call $failed (i32.load8_u (i32.const 408))))"
    "   (else (call $collect (i32.load (i32.const 408))))))"
    " (func $posted (param $p i32) (param $n i32) (param $early i32) (result i32) (local $h i32) (local $b i32)"
    "  (local.set $h (call $new (i32.const 120) (i32.const 11) (i32.const 1)))"
    "  (drop (call $method (local.get $h) (i32.const 2) (i32.const 0) (i32.const 0)))"
    "  (call $body (local.get $h) (i32.const 700)) (local.set $b (i32.load (i32.const 704)))"
    "  (call $write (local.get $b) (i32.const 700))"
    "  (if (call $go (local.get $h)) (then (return (call $failed (i32.load8_u (i32.const 408))))))"
    "  (call $send (i32.load (i32.const 704)) (local.get $p) (local.get $n) (i32.const 720))"
    "  (if (local.get $early) (then (return (call $collect (i32.load (i32.const 408))))))"
    "  (call $finish (local.get $b) (i32.const 0) (i32.const 0) (i32.const 800))"
    "  (call $collect (i32.load (i32.const 408))))"
    " (func (export \"post\") (param i32 i32) (result i32) (call $posted (local.get 0) (local.get 1) (i32.const 0)))"
    " (func (export \"early\") (param i32 i32) (result i32) (call $posted (local.get 0) (local.get 1) (i32.const 1))))"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"h\" (instance"
    GIVEN("fields") GIVEN("append") GIVEN("request") GIVEN("authority") GIVEN("method") GIVEN("body") GIVEN("write")
    GIVEN("finish") GIVEN("handle") GIVEN("get") GIVEN("consume") GIVEN("stream") GIVEN("read") GIVEN("send") "))))"
    LIFTED("get", "(list u8)") LIFTED("post", "(list u8)") LIFTED("early", "(list u8)") ")";

/* clang-format on */

#endif
