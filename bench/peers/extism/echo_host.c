/*
 * The same echo through libextism, opened from the file that its Python wheel brings.
 *
 *     echo_host LIBEXTISM GUEST.wasm BYTES
 *
 * Prints the best time of one call with the answer in our own memory: what libextism shows of it is
 * gone with the next call. Length and bytes are looked at as in bench_echo.c.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { ROUNDS = 60 };

typedef struct api {
    void *(*plugin_new)(const uint8_t *wasm, uint64_t n, const void **functions,
                        uint64_t n_functions, _Bool wasi, char **error);
    int32_t (*call)(void *plugin, const char *name, const uint8_t *data, uint64_t n);
    uint64_t (*output_length)(void *plugin);
    const uint8_t *(*output_data)(void *plugin);
} api;

static void *need(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        (void)fprintf(stderr, "echo_host: no %s\n", name);
        exit(1);
    }
    return symbol;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static uint8_t *read_file(const char *path, uint64_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(1 << 20);
    if (f == NULL || data == NULL) {
        perror(path);
        exit(1);
    }
    *ret_n = fread(data, 1, 1 << 20, f);
    (void)fclose(f);
    return data;
}

static void wrong(void)
{
    (void)fprintf(stderr, "echo_host: wrong answer\n");
    exit(1);
}

static void call(const api *x, void *plugin, const uint8_t *in, uint64_t n, uint8_t *out)
{
    if (x->call(plugin, "echo", in, n) != 0 || x->output_length(plugin) != n) {
        wrong();
    }
    memcpy(out, x->output_data(plugin), n);
}

/* Large buffers in large pages, as bench_echo.c has them. */
static uint8_t *buffer(uint64_t n)
{
    uint8_t *p = malloc(n + 1);
    uint64_t page = 2 << 20, from = ((uintptr_t)p + page - 1) / page * page;
    if (p != NULL && n >= 2 * page) {
        (void)madvise((void *)(uintptr_t)from, ((uintptr_t)p + n) / page * page - from,
                      MADV_HUGEPAGE);
    }
    return p;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fprintf(stderr, "usage: echo_host LIBEXTISM GUEST.wasm BYTES\n");
        return 2;
    }
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        (void)fprintf(stderr, "echo_host: %s\n", dlerror());
        return 1;
    }
    api x;
    *(void **)&x.plugin_new = need(library, "extism_plugin_new");
    *(void **)&x.call = need(library, "extism_plugin_call");
    *(void **)&x.output_length = need(library, "extism_plugin_output_length");
    *(void **)&x.output_data = need(library, "extism_plugin_output_data");

    uint64_t wasm_n, n = strtoull(argv[3], NULL, 10), best = UINT64_MAX;
    uint8_t *wasm = read_file(argv[2], &wasm_n), *in = buffer(n), *out = buffer(n);
    char *error = NULL;
    void *plugin = x.plugin_new(wasm, wasm_n, NULL, 0, 0, &error);
    if (plugin == NULL || in == NULL || out == NULL) {
        (void)fprintf(stderr, "echo_host: %s\n", error != NULL ? error : "no memory");
        return 1;
    }
    for (uint64_t i = 0; i < n; i++) {
        in[i] = (uint8_t)(i * 7);
    }
    uint64_t calls = 1 + 4000000 / (n + 8000);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        for (uint64_t i = 0; i < calls; i++) {
            call(&x, plugin, in, n, out);
        }
        uint64_t took = now_ns() - start;
        if (memcmp(out, in, n) != 0) {
            wrong();
        }
        best = took < best ? took : best;
    }
    (void)printf("%.1f ns\n", (double)best / (double)calls);
    return 0;
}
