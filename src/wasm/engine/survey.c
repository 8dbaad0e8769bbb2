#include "wasm/engine/survey.h"

#ifdef OTR_ENGINES_OURS

#include <outrider_engines.h>

#include "base/buf.h"
#include "base/limits.h"
#include "wasm/engine/wat.h"

static otr_code check_binary(otr_bytes wasm, uint64_t *ret_memory_bytes, otr_err *err)
{
    otr_survey s;
    otr_engines_survey((otr_slice){ wasm.p, wasm.n }, &s);
    if (ret_memory_bytes != NULL) {
        *ret_memory_bytes = s.memory_bytes;
    }
    if (s.shared != 0) {
        return otr_fail(err, OTR_EUNSUP,
                        "uses the shared memory (threads) proposal, which no engine here has");
    }
    if (s.memories > OTR_LIMIT_WASM_MEMORIES || s.tables > OTR_LIMIT_WASM_TABLES) {
        return otr_fail(err, OTR_EQUOTA,
                        "has %u memories and %u tables; the limits of one file are %d and %d",
                        (unsigned)s.memories, (unsigned)s.tables, OTR_LIMIT_WASM_MEMORIES,
                        OTR_LIMIT_WASM_TABLES);
    }
    if (s.table_elements > OTR_LIMIT_WASM_TABLE_ELEMENTS) {
        return otr_fail(err, OTR_EQUOTA, "a table starts with %llu elements; the limit is %d",
                        (unsigned long long)s.table_elements, OTR_LIMIT_WASM_TABLE_ELEMENTS);
    }
    if (s.memory_bytes > OTR_LIMIT_WASM_MEMORY_BYTES) {
        return otr_fail(err, OTR_EQUOTA,
                        "starts with %llu KiB of memory; more than 4 GiB can never be had",
                        (unsigned long long)(s.memory_bytes / 1024));
    }
    return OTR_OK;
}

/* `wasm` itself, or what its text stands for, kept in `room`; empty when that is malformed: the
 * runtime says so. */
static otr_bytes binary_of(otr_bytes wasm, otr_buf *room)
{
    otr_err malformed = { 0 };
    if (wasm.n >= 4 && memcmp(wasm.p, "\0asm", 4) == 0) {
        return wasm;
    }
    return otr_wat_to_wasm(wasm, room, &malformed) == OTR_OK ? otr_buf_bytes(room)
                                                             : (otr_bytes){ NULL, 0 };
}

otr_code otr_survey_check(otr_bytes wasm, uint64_t *ret_memory_bytes, otr_err *err)
{
    otr_buf room;
    otr_buf_init(&room, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_code rc = check_binary(binary_of(wasm, &room), ret_memory_bytes, err);
    otr_buf_deinit(&room);
    return rc;
}

static void take(void *arg, const uint8_t *p, size_t n)
{
    otr_code rc = otr_buf_add(arg, (otr_bytes){ p, n }, NULL);
    (void)rc; /* without memory the runtime's own text stays */
}

otr_code otr_survey_explain(otr_bytes wasm, otr_survey_engine engine, otr_code rc, otr_err *err)
{
    otr_buf room, text;
    if (rc != OTR_EINVAL) {
        return rc;
    }
    otr_buf_init(&room, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_buf_init(&text, OTR_ERR_MSG_BYTES * 4);
    otr_bytes binary = binary_of(wasm, &room);
    if (otr_engines_lacking((otr_slice){ binary.p, binary.n }, engine == OTR_SURVEY_WASMI, take,
                            &text) != 0 &&
        text.n > 0) {
        rc = otr_fail(err, OTR_EUNSUP, "%s", otr_buf_text(&text));
    }
    otr_buf_deinit(&room);
    otr_buf_deinit(&text);
    return rc;
}

#else

otr_code otr_survey_check(otr_bytes wasm, uint64_t *ret_memory_bytes, otr_err *err)
{
    (void)wasm;
    (void)err;
    if (ret_memory_bytes != NULL) {
        *ret_memory_bytes = 0;
    }
    return OTR_OK;
}

otr_code otr_survey_explain(otr_bytes wasm, otr_survey_engine engine, otr_code rc, otr_err *err)
{
    (void)wasm;
    (void)engine;
    (void)err;
    return rc;
}

#endif
