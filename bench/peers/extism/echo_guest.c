/* Echo as plugin development kits do it: eight bytes a call in, eight out, the rest by bytes. */
typedef unsigned long long u64;

#define ENV(name) __attribute__((import_module("extism:host/env"), import_name(name)))

ENV("alloc") u64 x_alloc(u64 len);
ENV("input_length") u64 x_input_length(void);
ENV("input_offset") u64 x_input_offset(void);
ENV("load_u64") u64 x_load_u64(u64 at);
ENV("load_u8") unsigned x_load_u8(u64 at);
ENV("store_u64") void x_store_u64(u64 at, u64 value);
ENV("store_u8") void x_store_u8(u64 at, unsigned value);
ENV("output_set") void x_output_set(u64 at, u64 len);

__attribute__((export_name("echo"))) int echo(void)
{
    u64 n = x_input_length(), from = x_input_offset(), to = x_alloc(n), i = 0;
    for (; i + 8 <= n; i += 8) {
        x_store_u64(to + i, x_load_u64(from + i));
    }
    for (; i < n; i++) {
        x_store_u8(to + i, x_load_u8(from + i));
    }
    x_output_set(to, n);
    return 0;
}
