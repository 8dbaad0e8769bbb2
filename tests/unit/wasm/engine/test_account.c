/* One account for all memories and tables of a sandbox: what is not exported, what is linked, what
 * grows while it runs or starts. Every figure is the same on both engines. */
#include "unit/wasm/fixture.h"

enum { PAGE = 65536, KIB = 1024 };

/* Calls `name` with `arg`; its result, or -100 when it fails. */
static int32_t ask(fixture *f, const char *name, int32_t arg)
{
    otr_err err = { 0 };
    int32_t v = arg;
    otr_code rc = fixture_call(f->inst, name, &v, in_ms(20000), &err);
    CHECK_STR(err.msg, "");
    return rc == OTR_OK ? v : -100;
}

static uint64_t used(const fixture *f)
{
    return f->inst->ops->memory_bytes(f->inst);
}

T(a_memory_without_an_export_counts)
{
    static const char hidden[] =
        "(module (memory 1) (func (export \"grow\") (param i32) (result i32)"
        " (memory.grow (local.get 0))))";
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, hidden, NULL, &err), err);
    CHECK_INT(used(&f), PAGE);
    CHECK_INT(ask(&f, "grow", 16), -1);
    CHECK_INT(ask(&f, "grow", 15), 1);
    CHECK_INT(ask(&f, "grow", 1), -1);
    CHECK_INT(used(&f), 16 * PAGE);
}

T(a_module_whose_hidden_memory_starts_above_the_limit_is_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_spawn(&f, "(module (memory 17))", NULL, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "starts with 1088 KiB of memory; its limit is 1024 KiB");
}

static const char two[] =
    "(module (memory $a (export \"memory\") 1) (memory $b 1)"
    " (func (export \"a\") (param i32) (result i32) (memory.grow $a (local.get 0)))"
    " (func (export \"b\") (param i32) (result i32) (memory.grow $b (local.get 0))))";

T(several_memories_share_the_limit)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, two, NULL, &err), err);
    CHECK_INT(ask(&f, "a", 7), 1);
    CHECK_INT(ask(&f, "b", 8), -1);
    CHECK_INT(ask(&f, "b", 7), 1);
    CHECK_INT(ask(&f, "a", 1), -1);
    CHECK_INT(used(&f), 16 * PAGE);
}

T(several_memories_that_start_above_the_limit_are_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_spawn(&f, "(module (memory 8) (memory 8) (memory 1))", NULL, &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "starts with 1088 KiB of memory; its limit is 1024 KiB");
    fixture_deinit(&f);
    REQUIRE_OK(fixture_spawn(&f, "(module (memory 8) (memory 8) (memory 0))", NULL, &err), err);
}

T(too_many_memories_or_tables_are_refused_at_load)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (memory 0) (memory 0) (memory 0) (memory 0) (memory 0)"
                             " (memory 0) (memory 0) (memory 0)"
                             " (table 1 funcref) (table 1 funcref) (table 1 funcref)"
                             " (table 1 funcref) (table 1 externref) (table 1 externref)"
                             " (table 1 externref) (table 1 externref))",
                             NULL, &err),
               err);
    fixture_deinit(&f);
    CHECK_INT(fixture_compile(&f,
                              "(module (memory 0) (memory 0) (memory 0) (memory 0) (memory 0)"
                              " (memory 0) (memory 0) (memory 0) (memory 0))",
                              &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "9 memories and 0 tables; the limits of one file are 8 and 8");
    fixture_deinit(&f);
    CHECK_INT(fixture_compile(&f,
                              "(module (table 1 funcref) (table 1 funcref) (table 1 funcref)"
                              " (table 1 funcref) (table 1 funcref) (table 1 funcref)"
                              " (table 1 funcref) (table 1 funcref) (table 1 externref))",
                              &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "0 memories and 9 tables");
}

T(more_memory_than_there_can_be_is_refused_at_load)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_compile(&f, "(module (memory i64 65537))", &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "starts with 4194368 KiB of memory; more than 4 GiB can never be had");
    fixture_deinit(&f);
    CHECK_INT(fixture_compile(&f, "(module (memory i64 281474976710656))", &err), OTR_EQUOTA);
}

T(a_shared_memory_is_refused_at_load)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_compile(&f, "(module (memory 1 1 shared))", &err), OTR_EUNSUP);
    CHECK_HAS(err.msg, "shared memory (threads)");
    fixture_deinit(&f);
    CHECK_INT(fixture_compile(&f, "(module (import \"env\" \"m\" (memory 1 1 shared)))", &err),
              OTR_EUNSUP);
    CHECK_HAS(err.msg, "shared memory (threads)");
}

/* 64 KiB of tables are free: 8192 elements. */
static const char tables[] =
    "(module (memory (export \"memory\") 1) (table $f 0 funcref) (table $x 0 externref)"
    " (func (export \"f\") (param i32) (result i32) (table.grow $f (ref.null func) (local.get 0)))"
    " (func (export \"x\") (param i32) (result i32)"
    "  (table.grow $x (ref.null extern) (local.get 0)))"
    " (func (export \"m\") (param i32) (result i32) (memory.grow (local.get 0))))";

T(tables_count_of_either_kind)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, tables, NULL, &err), err);
    CHECK_INT(ask(&f, "f", 8192), 0); /* free */
    CHECK_INT(used(&f), PAGE);
    CHECK_INT(ask(&f, "x", 65536), 0);
    CHECK_INT(used(&f), 9 * PAGE);
    CHECK_INT(ask(&f, "f", 57345), -1); /* one more than fits */
    CHECK_INT(ask(&f, "f", 57344), 8192);
    CHECK_INT(used(&f), 16 * PAGE);
    CHECK_INT(ask(&f, "m", 1), -1);
    CHECK_INT(ask(&f, "x", 1), -1);
}

T(a_guest_may_have_all_its_memory_beside_a_table_of_functions)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, "(module (memory 16) (table 8192 funcref))", NULL, &err), err);
    CHECK_INT(used(&f), 16 * PAGE);
}

T(tables_that_start_above_the_limit_are_refused)
{
    FIXTURE(f);
    otr_err err = { 0 };
    CHECK_INT(fixture_spawn(&f, "(module (memory 16) (table 8193 externref))", NULL, &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "memories and tables");
    CHECK_HAS(err.msg, "the limit is 1024 KiB");
    fixture_deinit(&f);
    CHECK_INT(fixture_compile(&f, "(module (table 9 funcref) (table 100001 externref))", &err),
              OTR_EQUOTA);
    CHECK_HAS(err.msg, "a table starts with 100001 elements; the limit is 100000");
}

T(what_is_linked_counts_without_an_export)
{
    static const char kernel[] =
        "(module (memory 1) (table 0 externref)"
        " (func (export \"more\") (param i32) (result i32) (memory.grow (local.get 0)))"
        " (func (export \"table\") (param i32) (result i32)"
        "  (table.grow 0 (ref.null extern) (local.get 0))))";
    static const char guest[] =
        "(module (import \"k\" \"more\" (func $more (param i32) (result i32)))"
        " (import \"k\" \"table\" (func $table (param i32) (result i32))) (memory 1)"
        " (func (export \"theirs\") (param i32) (result i32) (call $more (local.get 0)))"
        " (func (export \"table\") (param i32) (result i32) (call $table (local.get 0)))"
        " (func (export \"mine\") (param i32) (result i32) (memory.grow (local.get 0))))";
    FIXTURE(f);
    otr_err err = { 0 };
    otr_module *linked = NULL;
    REQUIRE_OK(otr_engine_find("wasmtime")->open(NULL, &f.engine, &err), err);
    REQUIRE_OK(f.engine->ops->compile(f.engine, otr_bytes_of(kernel), &linked, &err), err);
    const otr_link link = { linked, { "k", NULL } };
    otr_spawn spec = { .links = &link, .n_links = 1, .max_memory_bytes = 16 * PAGE };
    otr_code rc = fixture_spawn(&f, guest, &spec, &err);
    CHECK_STR(err.msg, "");
    if (rc == OTR_OK) {
        CHECK_INT(ask(&f, "theirs", 10), 1);
        CHECK_INT(ask(&f, "mine", 5), -1);
        CHECK_INT(ask(&f, "mine", 3), 1);
        CHECK_INT(ask(&f, "table", 16384), 0); /* the last page, behind the free ones */
        CHECK_INT(ask(&f, "mine", 1), -1);
        CHECK_INT(ask(&f, "table", 1), -1);
        CHECK_INT(used(&f), 16 * PAGE);
        f.inst->ops->instance_free(f.inst);
        f.inst = NULL;
    }
    spec.max_memory_bytes = PAGE;
    if (rc == OTR_OK) {
        rc = f.engine->ops->spawn(f.module, &spec, &f.inst, &err);
        CHECK_INT(rc, OTR_EQUOTA);
    }
    linked->ops->module_free(linked);
}

T(growth_that_its_own_type_forbids_costs_nothing)
{
    static const char bounded[] =
        "(module (memory $a 1 2) (memory $b 0) (table $t 0 10 funcref) (table $u 0 funcref)"
        " (func (export \"a\") (param i32) (result i32) (memory.grow $a (local.get 0)))"
        " (func (export \"b\") (param i32) (result i32) (memory.grow $b (local.get 0)))"
        " (func (export \"t\") (param i32) (result i32)"
        "  (table.grow $t (ref.null func) (local.get 0)))"
        " (func (export \"u\") (param i32) (result i32)"
        "  (table.grow $u (ref.null func) (local.get 0)))"
        " (func (export \"stop\") (unreachable)))";
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, bounded, NULL, &err), err);
    CHECK_INT(ask(&f, "a", 1), 1);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(ask(&f, "a", 1), -1);
        CHECK_INT(ask(&f, "a", -1), -1);
        CHECK_INT(ask(&f, "t", 11), -1);
        CHECK_INT(ask(&f, "t", -1), -1);
        CHECK_INT(used(&f), 2 * PAGE);
    }
    CHECK_INT(ask(&f, "u", 8192), 0);
    CHECK_INT(ask(&f, "u", -1), -1);
    CHECK_INT(ask(&f, "b", 15), -1);
    CHECK_INT(ask(&f, "b", 14), 0);
    CHECK_INT(used(&f), 16 * PAGE);
}

T(an_overflowing_growth_gives_nothing_back)
{
    static const char wide[] =
        "(module (memory $m i64 1) (table $t i64 0 funcref)"
        " (func (export \"m\") (param i32) (result i32)"
        "  (i32.wrap_i64 (memory.grow $m (i64.extend_i32_s (local.get 0)))))"
        " (func (export \"t\") (param i32) (result i32)"
        "  (i32.wrap_i64 (table.grow $t (ref.null func) (i64.extend_i32_s (local.get 0))))))";
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, wide, NULL, &err), err);
    CHECK_INT(ask(&f, "t", 8192 + 16384), 0); /* two pages that are not free */
    for (int i = 0; i < 4; i++) {
        CHECK_INT(ask(&f, "t", -1), -1);
        CHECK_INT(ask(&f, "m", -1), -1);
        CHECK_INT(used(&f), 3 * PAGE);
    }
    CHECK_INT(ask(&f, "m", 14), -1);
    CHECK_INT(ask(&f, "m", 13), 1);
}

T(what_a_start_function_takes_counts)
{
    static const char starts[] =
        "(module (memory 1) (global $got (mut i32) (i32.const 0))"
        " (func $boot (global.set $got (i32.add (memory.grow (i32.const 16))"
        "  (memory.grow (i32.const 10))))) (start $boot)"
        " (func (export \"got\") (result i32) (global.get $got))"
        " (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0))))";
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, starts, NULL, &err), err);
    CHECK_INT(ask(&f, "got", 0), 0); /* -1 and 1 */
    CHECK_INT(used(&f), 11 * PAGE);
    CHECK_INT(ask(&f, "grow", 6), -1);
    CHECK_INT(ask(&f, "grow", 5), 11);
}

T(giving_up_for_want_of_a_table_is_told_as_that)
{
    static const char gives_up[] =
        "(module (memory 1) (table 0 funcref)"
        " (func (export \"ask\") (result i32) (table.grow 0 (ref.null func) (i32.const 99999))"
        "  (drop (table.grow 0 (ref.null func) (i32.const 99999))))"
        " (func (export \"full\") (result i32)"
        "  (drop (memory.grow (i32.const 1))) (drop (memory.grow (i32.const 99))) (unreachable))"
        " (func (export \"other\") (unreachable)))";
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, gives_up, NULL, &err), err);
    CHECK_INT(ask(&f, "ask", 0), 0);
    CHECK_INT(fixture_call(f.inst, "full", NULL, 0, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "out of memory (limit 1024 KiB)");
}

T(a_refusal_of_an_earlier_call_does_not_explain_a_trap)
{
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f,
                             "(module (memory 1) (func (export \"grow\") (result i32)"
                             " (memory.grow (i32.const 99)))"
                             " (func (export \"stop\") (unreachable)))",
                             NULL, &err),
               err);
    CHECK_INT(ask(&f, "grow", 0), -1);
    CHECK_INT(fixture_call(f.inst, "stop", NULL, 0, &err), OTR_EGUEST);
}

#ifndef ON_WASMI
T(objects_of_the_collector_count)
{
    static const char objects[] =
        "(module (type $a (array (mut i8)))"
        " (type $n (struct (field (ref null $n)) (field (ref null $a))))"
        " (global $all (mut (ref null $n)) (ref.null $n))"
        " (func (export \"keep\") (param i32) (result i32) (local $i i32)"
        "  (loop $l (global.set $all (struct.new $n (global.get $all)"
        "   (array.new $a (i32.const 1) (i32.const 1000))))"
        "   (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        "   (br_if $l (i32.lt_u (local.get $i) (local.get 0)))) (i32.const 7))"
        " (func (export \"drop\") (param i32) (result i32) (local $i i32)"
        "  (loop $l (drop (array.new $a (i32.const 1) (i32.const 1000)))"
        "   (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        "   (br_if $l (i32.lt_u (local.get $i) (local.get 0)))) (i32.const 7)))";
    FIXTURE(f);
    otr_err err = { 0 };
    REQUIRE_OK(fixture_spawn(&f, objects, NULL, &err), err);
    CHECK_INT(ask(&f, "drop", 10000), 7); /* ten times the limit, none of it kept */
    CHECK_INT(ask(&f, "keep", 100), 7);
    CHECK(used(&f) > 100 * KIB);
    CHECK(used(&f) <= 16 * PAGE);
    int32_t v = 10000;
    CHECK_INT(fixture_call(f.inst, "keep", &v, in_ms(20000), &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "out of memory (limit 1024 KiB)");
}
#endif
