/*
 * Runs a fuzz target without libFuzzer: every file of the corpus folder, then a bounded number of
 * reproducible mutations of each (flip, cut, repeat, splice). For the smoke run under sanitizers.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 400, MAX_BYTES = 1 << 20 };

static uint64_t state = 0x9e3779b97f4a7c15U;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t mutate(uint8_t *data, size_t size)
{
    unsigned edits = 1 + (unsigned)(next() % 4);
    for (unsigned i = 0; i < edits && size > 0; i++) {
        size_t at = (size_t)(next() % size);
        switch (next() % 4) {
        case 0:
            data[at] ^= (uint8_t)(1U << (next() % 8));
            break;
        case 1:
            data[at] = (uint8_t)next();
            break;
        case 2:
            size = at;
            break;
        default: {
            size_t run = size - at;
            if (size + run <= MAX_BYTES) {
                memmove(data + at + run, data + at, run);
                size += run;
            }
        }
        }
    }
    return size;
}

static unsigned replay(const char *path, uint8_t *data, uint8_t *work)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, MAX_BYTES, f);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    unsigned runs = size < 65536 ? MUTATIONS : MUTATIONS / 20;
    for (unsigned i = 0; i < runs; i++) {
        memcpy(work, data, size);
        size_t n = mutate(work, size);
        /* An exact-size block, so that the sanitizer sees a read past the end. */
        uint8_t *exact = malloc(n > 0 ? n : 1);
        if (exact == NULL) {
            exit(1);
        }
        memcpy(exact, work, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    return runs + 1;
}

int main(int argc, char **argv)
{
    uint8_t *data = malloc(MAX_BYTES), *work = malloc(MAX_BYTES);
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (data == NULL || work == NULL || dir == NULL) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 1;
    }
    unsigned runs = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.') {
            char path[4096];
            snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
            runs += replay(path, data, work);
        }
    }
    closedir(dir);
    free(data);
    free(work);
    printf("%u inputs\n", runs);
    return runs > 0 ? 0 : 1;
}
