/*
 * Outrider plugins in C over the waPC ABI.
 *
 *     clang --target=wasm32 -O2 -nostdlib -ffreestanding -I sdk -Wl,--no-entry \
 *         -o plugin.wasm plugin.c
 *
 * See outrider_guest.h for the functions, sdk/README.md for a plugin in 25 lines. All operations
 * go through the one export `__guest_call`; what the host offers is reached by `__host_call` with
 * the binding "outrider".
 */
#ifndef OUTRIDER_WAPC_H
#define OUTRIDER_WAPC_H

#include "outrider_guest.h"
#include "outrider_json.h"

#define OG_WAPC_(name) __attribute__((import_module("wapc"), import_name(name)))

OG_WAPC_("__guest_request") void og_w_request_(char *operation, char *input);
OG_WAPC_("__guest_response") void og_w_response_(const char *at, size_t len);
OG_WAPC_("__guest_error") void og_w_error_(const char *at, size_t len);
OG_WAPC_("__host_call")
int32_t og_w_host_call_(const char *binding, size_t binding_len, const char *space,
                        size_t space_len, const char *operation, size_t operation_len,
                        const char *input, size_t input_len);
OG_WAPC_("__host_response_len") size_t og_w_host_response_len_(void);
OG_WAPC_("__host_response") void og_w_host_response_(char *to);
OG_WAPC_("__host_error_len") size_t og_w_host_error_len_(void);
OG_WAPC_("__host_error") void og_w_host_error_(char *to);

/* Operations put themselves into this list in constructors, which wapc_init() runs. */
typedef struct og_operation_ {
    og_str name;
    int (*run)(void);
    struct og_operation_ *next;
} og_operation_;

static og_operation_ *og_operations_;

static inline og_str og_input(void)
{
    return og_.input;
}

static inline int og_output(og_str bytes)
{
    og_w_response_(bytes.at, bytes.len);
    return OG_OK;
}

OG_SHARED og_str og_w_call_(og_str space, og_str operation, og_str input)
{
    static const og_str binding = { "outrider", 8 };
    og_str none = { NULL, 0 };
    bool ok = og_w_host_call_(binding.at, binding.len, space.at, space.len, operation.at,
                              operation.len, input.at, input.len) == 1;
    size_t len = ok ? og_w_host_response_len_() : og_w_host_error_len_();
    char *to = og_new(len);
    if (to == NULL) {
        og_.error = OG_STR("no memory for the host's answer");
        return none;
    }
    if (ok) {
        og_w_host_response_(to);
        return (og_str){ to, len };
    }
    og_w_host_error_(to);
    og_.error = (og_str){ to, len };
    return none;
}

OG_SHARED int og_publish(const char *topic, og_str data)
{
    og_str name = og_text(topic);
    if (data.at == NULL) {
        return og_fail("publish: the data is absent (did the JSON fit its buffer?)");
    }
    og_str answer = og_w_call_(OG_STR("publish"), name, data);
    return answer.at != NULL ? OG_OK : OG_FAILED;
}

OG_SHARED og_str og_config(const char *key)
{
    return og_w_call_(OG_STR("config"), OG_STR("get"), og_text(key));
}

OG_SHARED void og_log_str(og_level level, og_str text)
{
    static const char *const names[] = { "trace", "debug", "info", "warn", "error" };
    og_str before = og_.error; /* a refused log line is nobody's failure */
    (void)og_w_call_(OG_STR("log"), og_text(names[level]), text);
    og_.error = before;
}

OG_SHARED og_str og_call(const char *operation, og_str input)
{
    og_str space = og_text(operation);
    size_t dot = 0;
    while (dot < space.len && space.at[dot] != '.') {
        dot++;
    }
    if (dot == space.len) {
        og_.error = OG_STR("call: the operation is not of the form namespace.operation");
        return (og_str){ NULL, 0 };
    }
    og_str rest = { space.at + dot + 1, space.len - dot - 1 };
    return og_w_call_((og_str){ space.at, dot }, rest, input);
}

extern void __wasm_call_ctors(void); /* made by wasm-ld */

static inline void og_w_start_(void)
{
    static bool started;
    if (!started) {
        started = true;
        __wasm_call_ctors();
    }
}

__attribute__((export_name("wapc_init"))) void og_wapc_init_(void);
__attribute__((export_name("wapc_init"))) void og_wapc_init_(void)
{
    og_w_start_();
}

static inline int og_w_run_(og_str name)
{
    for (og_operation_ *o = og_operations_; o != NULL; o = o->next) {
        if (og_str_eq(o->name, name)) {
            return o->run();
        }
    }
    return og_fail_str(og_concat(OG_STR("no such operation: "), name));
}

__attribute__((export_name("__guest_call"))) int32_t og_guest_call_(size_t name_len, size_t len);
__attribute__((export_name("__guest_call"))) int32_t og_guest_call_(size_t name_len, size_t len)
{
    og_w_start_();
    og_begin_();
    char *name = og_new(name_len);
    char *input = og_new(len);
    if (name == NULL || input == NULL) {
        og_str text = OG_STR("no memory for the input");
        og_w_error_(text.at, text.len);
        return 0;
    }
    og_w_request_(name, input);
    og_.input = (og_str){ input, len };
    if (og_w_run_((og_str){ name, name_len }) == OG_OK) {
        return 1;
    }
    og_w_error_(og_error().at, og_error().len);
    return 0;
}

/* Lists the operations too: with this ABI the host cannot see them. */
OG_SHARED int og_answer_info_(const char *name, const char *version)
{
    char text[1024];
    og_writer w = og_json_object(text, sizeof text);
    og_put_text(&w, "name", name);
    og_put_text(&w, "version", version);
    og_put_text(&w, "api", OG_API);
    og_put_array(&w, "operations");
    for (const og_operation_ *o = og_operations_; o != NULL; o = o->next) {
        og_put_str(&w, NULL, o->name);
    }
    return og_output_json(&w);
}

/* Defines an operation: `OG_OPERATION(process) { … return OG_OK; }`. */
#define OG_OPERATION(operation)                                                                  \
    static int og_operation_##operation(void);                                                   \
    __attribute__((constructor)) static void og_add_##operation##_(void)                         \
    {                                                                                            \
        static og_operation_ entry;                                                              \
        entry = (og_operation_){ OG_STR(#operation), og_operation_##operation, og_operations_ }; \
        og_operations_ = &entry;                                                                 \
    }                                                                                            \
    static int og_operation_##operation(void)

#include "outrider_contract.h"

#endif
