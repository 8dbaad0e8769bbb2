#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/limits.h"
#include "base/log.h"
#include "wasm/engine/wasmtime.h"

/* How memories are laid out in the address space; compiled code depends on it. */
typedef enum layout {
    LAYOUT_POOLED,   /* slots of 4 GiB reserved once for all instances */
    LAYOUT_RESERVED, /* 4 GiB reserved for each memory as it is made */
    LAYOUT_COMPACT,  /* nothing reserved: explicit bounds checks, memories move as they grow */
} layout;

enum {
    /* 1,000 instances of a guest and its kernel, some spare for those being replaced. */
    POOL_INSTANCES = 2080,
    POOL_TABLES = 4160,
    POOL_GC_HEAPS = 1040, /* each takes a memory, once its guest makes an object */
    POOL_TABLE_ELEMENTS = 100000,
    POOL_KEEP_BYTES = 64 * 1024,
    /* Slots that wait for their module to come back, with what is kept of them: a module that was
     * reloaded never does. */
    POOL_WARM = 8,
};

static const uint64_t slot_bytes = UINT64_C(4) << 30;
static const uint64_t guard_bytes = UINT64_C(32) << 20;

static int reservable(uint64_t bytes)
{
    void *at =
        mmap(NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        return 0;
    }
    (void)munmap(at, (size_t)bytes);
    return 1;
}

/* Wasmtime's C API aborts when the pool cannot be reserved (RLIMIT_AS, a sanitizer's address
 * layout), so we try before it does. */
static layout pick_layout(void)
{
    uint64_t pool = POOL_INSTANCES * (slot_bytes + guard_bytes) + (UINT64_C(64) << 30);
    if (reservable(pool)) {
        return LAYOUT_POOLED;
    }
    otr_log_debug("wasm memories are not pooled: the address space is limited");
    return reservable(64 * (slot_bytes + guard_bytes)) ? LAYOUT_RESERVED : LAYOUT_COMPACT;
}

static void set_pool(wasm_config_t *c)
{
    wasmtime_pooling_allocation_config_t *p = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_core_instances_set(p, POOL_INSTANCES);
    wasmtime_pooling_allocation_config_total_memories_set(p, POOL_INSTANCES);
    wasmtime_pooling_allocation_config_total_tables_set(p, POOL_TABLES);
    wasmtime_pooling_allocation_config_table_elements_set(p, POOL_TABLE_ELEMENTS);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(p, OTR_LIMIT_WASM_TABLES);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(p, OTR_LIMIT_WASM_MEMORIES);
    wasmtime_pooling_allocation_config_max_memory_size_set(p, (size_t)slot_bytes);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(p, POOL_KEEP_BYTES);
    wasmtime_pooling_allocation_config_table_keep_resident_set(p, 4096);
    wasmtime_pooling_allocation_config_max_unused_warm_slots_set(p, POOL_WARM);
    wasmtime_pooling_allocation_config_total_gc_heaps_set(p, POOL_GC_HEAPS);
    wasmtime_pooling_allocation_config_total_stacks_set(p, 1);
    wasmtime_pooling_allocation_strategy_set(c, p);
    wasmtime_pooling_allocation_config_delete(p);
}

static void set_features(wasm_config_t *c)
{
    wasmtime_config_wasm_reference_types_set(c, true);
    wasmtime_config_wasm_simd_set(c, true);
    wasmtime_config_wasm_bulk_memory_set(c, true);
    wasmtime_config_wasm_multi_value_set(c, true);
    wasmtime_config_wasm_multi_memory_set(c, true);
    wasmtime_config_wasm_memory64_set(c, true);
    wasmtime_config_wasm_wide_arithmetic_set(c, true);
    wasmtime_config_wasm_threads_set(c, true);   /* atomic instructions */
    wasmtime_config_shared_memory_set(c, false); /* a guest has one thread, and cannot be stopped in
                                                  * a wait for another */
    wasmtime_config_wasm_function_references_set(c, true);
    wasmtime_config_wasm_gc_set(c, true);
    wasmtime_config_wasm_exceptions_set(c, true);
    wasmtime_config_wasm_custom_page_sizes_set(c, false);
    wasmtime_config_wasm_stack_switching_set(c, false);
    wasmtime_config_concurrency_support_set(c, false);
    wasmtime_config_wasm_component_model_async_set(c, false);
}

/* File and line in traps come only with this variable: the C API has no setter, and the config
 * reads it once, when it is made. The user's own choice stays. An engine is opened while the
 * program starts, before it has threads that read the environment. */
static wasm_config_t *new_config(void)
{
    static const char name[] = "WASMTIME_BACKTRACE_DETAILS";
    /* NOLINTBEGIN(concurrency-mt-unsafe): see above */
    bool ours = getenv(name) == NULL && setenv(name, "1", 0) == 0;
    wasm_config_t *c = wasm_config_new();
    if (ours) {
        (void)unsetenv(name);
    }
    /* NOLINTEND(concurrency-mt-unsafe) */
    return c;
}

wasm_engine_t *otr_wasmtime_new_engine(wt_engine *e, otr_err *err)
{
    static const char *const names[] = { "pooled", "reserved", "compact" };
    layout l = pick_layout();
    wasm_config_t *c = new_config();
    if (c == NULL) {
        (void)otr_fail_nomem(err);
        return NULL;
    }
    set_features(c);
    wasmtime_config_strategy_set(c, WASMTIME_STRATEGY_CRANELIFT);
    wasmtime_config_cranelift_opt_level_set(c, WASMTIME_OPT_LEVEL_SPEED);
    /* Beside a proxy a compiler must not take every core; nor would its threads, one for each core,
     * or their heaps ever go away. */
    wasmtime_config_parallel_compilation_set(c, false);
    wasmtime_config_epoch_interruption_set(c, true);
    wasmtime_config_max_wasm_stack_set(c, OTR_LIMIT_WASM_STACK_BYTES);
    wasmtime_config_memory_init_cow_set(c, true);
    if (l == LAYOUT_COMPACT) {
        wasmtime_config_memory_reservation_set(c, 0);
        wasmtime_config_memory_guard_size_set(c, 65536);
        wasmtime_config_memory_reservation_for_growth_set(c, 1024 * 1024);
        wasmtime_config_memory_may_move_set(c, true);
    } else {
        wasmtime_config_memory_reservation_set(c, slot_bytes);
        wasmtime_config_memory_guard_size_set(c, guard_bytes);
    }
    if (l == LAYOUT_POOLED) {
        set_pool(c);
    }
    e->memories_stay = l != LAYOUT_COMPACT;
    (void)snprintf(e->settings, sizeof(e->settings),
                   "wasmtime %s cranelift-speed epoch wasm3 details=%s %s", WASMTIME_VERSION,
                   getenv("WASMTIME_BACKTRACE_DETAILS") != NULL ? "env" : "on", names[l]);
    wasm_engine_t *engine = wasm_engine_new_with_config(c);
    if (engine == NULL) {
        (void)otr_fail_nomem(err);
    }
    return engine;
}
