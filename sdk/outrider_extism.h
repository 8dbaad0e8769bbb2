/*
 * Outrider plugins in C over the Extism ABI.
 *
 *     clang --target=wasm32 -O2 -nostdlib -ffreestanding -I sdk -Wl,--no-entry \
 *         -o plugin.wasm plugin.c
 *
 * See outrider_guest.h for the functions, sdk/README.md for a plugin in 25 lines. Each operation
 * becomes an export of its name; input, output and everything that crosses lives in Extism's
 * memory and is copied in and out eight bytes at a time. Outrider's own functions are imported
 * from "extism:host/user" and only when they are used, so a plugin that only computes also runs
 * in any other Extism host.
 */
#ifndef OUTRIDER_EXTISM_H
#define OUTRIDER_EXTISM_H

#include "outrider_guest.h"
#include "outrider_json.h"

#define OG_ENV_(name)  __attribute__((import_module("extism:host/env"), import_name(name)))
#define OG_USER_(name) __attribute__((import_module("extism:host/user"), import_name(name)))

OG_ENV_("alloc") uint64_t og_x_alloc_(uint64_t len);
OG_ENV_("free") void og_x_free_(uint64_t at);
OG_ENV_("length") uint64_t og_x_length_(uint64_t at);
OG_ENV_("load_u8") uint32_t og_x_load_u8_(uint64_t at);
OG_ENV_("load_u64") uint64_t og_x_load_u64_(uint64_t at);
OG_ENV_("store_u8") void og_x_store_u8_(uint64_t at, uint32_t byte);
OG_ENV_("store_u64") void og_x_store_u64_(uint64_t at, uint64_t bytes);
OG_ENV_("input_length") uint64_t og_x_input_length_(void);
OG_ENV_("input_load_u8") uint32_t og_x_input_load_u8_(uint64_t at);
OG_ENV_("input_load_u64") uint64_t og_x_input_load_u64_(uint64_t at);
OG_ENV_("output_set") void og_x_output_set_(uint64_t at, uint64_t len);
OG_ENV_("error_set") void og_x_error_set_(uint64_t at);
OG_ENV_("config_get") uint64_t og_x_config_get_(uint64_t key);
OG_ENV_("var_get") uint64_t og_x_var_get_(uint64_t key);
OG_ENV_("var_set") void og_x_var_set_(uint64_t key, uint64_t value);
OG_ENV_("log_trace") void og_x_log_trace_(uint64_t text);
OG_ENV_("log_debug") void og_x_log_debug_(uint64_t text);
OG_ENV_("log_info") void og_x_log_info_(uint64_t text);
OG_ENV_("log_warn") void og_x_log_warn_(uint64_t text);
OG_ENV_("log_error") void og_x_log_error_(uint64_t text);

OG_USER_("outrider_publish") uint64_t og_x_publish_(uint64_t topic, uint64_t data);
OG_USER_("outrider_call") uint64_t og_x_call_(uint64_t operation, uint64_t input);
OG_USER_("outrider_error") uint64_t og_x_error_(void);

/* A copy of a block of Extism memory in the arena; the block is freed. Absent: no memory. */
OG_SHARED og_str og_x_take_(uint64_t at)
{
    size_t len = (size_t)og_x_length_(at);
    char *to = og_new(len);
    if (to == NULL) {
        return (og_str){ NULL, 0 };
    }
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word = og_x_load_u64_(at + i);
        __builtin_memcpy(to + i, &word, 8);
    }
    for (; i < len; i++) {
        to[i] = (char)og_x_load_u8_(at + i);
    }
    og_x_free_(at);
    return (og_str){ to, len };
}

/* A block of Extism memory with a copy of `s`; 0 when `s` is empty or there is no memory. */
OG_SHARED uint64_t og_x_give_(og_str s)
{
    uint64_t at = s.len > 0 ? og_x_alloc_(s.len) : 0;
    size_t i = 0;
    if (at == 0) {
        return 0;
    }
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        __builtin_memcpy(&word, s.at + i, 8);
        og_x_store_u64_(at + i, word);
    }
    for (; i < s.len; i++) {
        og_x_store_u8_(at + i, (unsigned char)s.at[i]);
    }
    return at;
}

OG_SHARED og_str og_input(void)
{
    if (og_.input.at != NULL) {
        return og_.input;
    }
    size_t len = (size_t)og_x_input_length_();
    char *to = og_new(len);
    size_t i = 0;
    if (to == NULL) {
        return OG_STR("");
    }
    for (; i + 8 <= len; i += 8) {
        uint64_t word = og_x_input_load_u64_(i);
        __builtin_memcpy(to + i, &word, 8);
    }
    for (; i < len; i++) {
        to[i] = (char)og_x_input_load_u8_(i);
    }
    og_.input = (og_str){ to, len };
    return og_.input;
}

OG_SHARED int og_output(og_str bytes)
{
    uint64_t at = og_x_give_(bytes);
    if (at == 0 && bytes.len > 0) {
        return og_fail("no memory for the output");
    }
    og_x_output_set_(at, bytes.len);
    return OG_OK;
}

OG_SHARED int og_publish(const char *topic, og_str data)
{
    if (data.at == NULL) {
        return og_fail("publish: the data is absent (did the JSON fit its buffer?)");
    }
    uint64_t topic_at = og_x_give_(og_text(topic));
    uint64_t data_at = og_x_give_(data);
    uint64_t error = og_x_publish_(topic_at, data_at);
    og_x_free_(topic_at);
    og_x_free_(data_at);
    return error == 0 ? OG_OK : og_fail_str(og_x_take_(error));
}

OG_SHARED og_str og_config(const char *key)
{
    uint64_t key_at = og_x_give_(og_text(key));
    uint64_t value = og_x_config_get_(key_at);
    og_x_free_(key_at);
    return value != 0 ? og_x_take_(value) : (og_str){ NULL, 0 };
}

OG_SHARED void og_log_str(og_level level, og_str text)
{
    uint64_t at = og_x_give_(text);
    switch (level) {
    case OG_LOG_TRACE:
        og_x_log_trace_(at);
        break;
    case OG_LOG_DEBUG:
        og_x_log_debug_(at);
        break;
    case OG_LOG_INFO:
        og_x_log_info_(at);
        break;
    case OG_LOG_WARN:
        og_x_log_warn_(at);
        break;
    case OG_LOG_ERROR:
        og_x_log_error_(at);
        break;
    }
    og_x_free_(at);
}

OG_SHARED og_str og_call(const char *operation, og_str input)
{
    uint64_t operation_at = og_x_give_(og_text(operation));
    uint64_t input_at = og_x_give_(input);
    uint64_t result = og_x_call_(operation_at, input_at);
    og_x_free_(operation_at);
    og_x_free_(input_at);
    if (result != 0) {
        return og_x_take_(result);
    }
    uint64_t error = og_x_error_();
    if (error == 0) { /* an empty answer has no block either */
        return OG_STR("");
    }
    og_.error = og_x_take_(error);
    return (og_str){ NULL, 0 };
}

/* Extism variables: kept by the host for the life of the instance, 1 MiB in all by default. */
static inline og_str og_var_get(const char *key)
{
    uint64_t key_at = og_x_give_(og_text(key));
    uint64_t value = og_x_var_get_(key_at);
    og_x_free_(key_at);
    return value != 0 ? og_x_take_(value) : (og_str){ NULL, 0 };
}

/* An empty value deletes the variable. */
static inline void og_var_set(const char *key, og_str value)
{
    uint64_t key_at = og_x_give_(og_text(key));
    uint64_t value_at = og_x_give_(value);
    og_x_var_set_(key_at, value_at);
    og_x_free_(key_at);
    og_x_free_(value_at);
}

static inline int32_t og_run_(int (*operation)(void))
{
    og_begin_();
    int code = operation();
    if (code != OG_OK && og_.error.at != NULL) {
        og_x_error_set_(og_x_give_(og_.error));
    }
    return code;
}

OG_SHARED int og_answer_info_(const char *name, const char *version)
{
    char text[256];
    og_writer w = og_json_object(text, sizeof text);
    og_put_text(&w, "name", name);
    og_put_text(&w, "version", version);
    og_put_text(&w, "api", OG_API);
    return og_output_json(&w);
}

/* Defines an operation: `OG_OPERATION(process) { … return OG_OK; }`. */
#define OG_OPERATION(name)                                                 \
    static int og_operation_##name(void);                                  \
    __attribute__((export_name(#name))) int32_t og_export_##name##_(void); \
    __attribute__((export_name(#name))) int32_t og_export_##name##_(void)  \
    {                                                                      \
        return og_run_(og_operation_##name);                               \
    }                                                                      \
    static int og_operation_##name(void)

#include "outrider_contract.h"

#endif
