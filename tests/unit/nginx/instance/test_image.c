/* Executables are foreign input: their headers may say anything. */
#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "nginx/instance/image.h"
#include "support/test.h"

enum { HEADERS = 1000, SIZE = 1 << 20 };

typedef struct part {
    uint64_t at, n;
} part;

static void close_file(const int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static int open_file(void)
{
    char path[] = "/tmp/otr-image-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    return fd;
}

#define FILE_OF(fd)                               \
    OTR_CLEANUP(close_file) int fd = open_file(); \
    REQUIRE(fd >= 0)

static Elf64_Ehdr header(size_t n, size_t entry_bytes)
{
    const uint16_t one = 1;
    Elf64_Ehdr h = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                                  *(const unsigned char *)&one == 1 ? ELFDATA2LSB : ELFDATA2MSB },
                     .e_phoff = sizeof(h),
                     .e_phnum = (uint16_t)n,
                     .e_phentsize = (uint16_t)entry_bytes };
    return h;
}

static bool put(int fd, const Elf64_Ehdr *h, const Elf64_Phdr *p, size_t n)
{
    return pwrite(fd, h, sizeof(*h), 0) == (ssize_t)sizeof(*h) &&
           pwrite(fd, p, n * sizeof(*p), sizeof(*h)) == (ssize_t)(n * sizeof(*p));
}

static void check_parts(int fd, uint64_t size, const part *expected, size_t n)
{
    otr_image image;
    otr_image_read(fd, size, &image);
    CHECK_INT(image.n_parts, n);
    for (size_t i = 0; i < n && i < image.n_parts; i++) {
        CHECK_INT(image.parts[i].at, expected[i].at);
        CHECK_INT(image.parts[i].n, expected[i].n);
    }
}

T(what_is_no_elf_file_is_one_part)
{
    FILE_OF(fd);
    check_parts(fd, 0, NULL, 0);
    check_parts(fd, 7, (part[]){ { 0, 7 } }, 1);
    Elf64_Ehdr h = header(0, sizeof(Elf64_Phdr));
    REQUIRE(put(fd, &h, NULL, 0));
    check_parts(fd, SIZE, (part[]){ { 0, SIZE } }, 1);
    Elf64_Phdr p = { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 10, .p_filesz = 20 };
    h = header(1, sizeof(Elf64_Phdr) + 1);
    REQUIRE(put(fd, &h, &p, 1));
    check_parts(fd, SIZE, (part[]){ { 0, SIZE } }, 1);
    h = header(1, sizeof(Elf64_Phdr));
    h.e_ident[EI_DATA] = h.e_ident[EI_DATA] == ELFDATA2LSB ? ELFDATA2MSB : ELFDATA2LSB;
    REQUIRE(put(fd, &h, &p, 1));
    check_parts(fd, SIZE, (part[]){ { 0, SIZE } }, 1);
}

T(parts_are_those_that_are_loaded_and_not_written)
{
    static const Elf64_Phdr p[] = {
        { .p_type = PT_NOTE, .p_flags = PF_R, .p_offset = 1, .p_filesz = 1 },
        { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 100, .p_filesz = 10 },
        { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 200, .p_filesz = 20 },
        { .p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 300, .p_filesz = 30 },
        { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 400, .p_filesz = 40 },
    };
    FILE_OF(fd);
    Elf64_Ehdr h = header(OTR_COUNT(p), sizeof(*p));
    REQUIRE(put(fd, &h, p, OTR_COUNT(p)));
    check_parts(fd, SIZE, (part[]){ { 100, 10 }, { 400, 40 } }, 2); /* constants behind the code */
    check_parts(fd, 405, (part[]){ { 100, 10 }, { 400, 5 } }, 2);
    h = header(4, sizeof(*p));
    REQUIRE(put(fd, &h, p, 4));
    check_parts(fd, SIZE, (part[]){ { 100, 10 }, { 200, 20 } }, 2); /* constants in it */
}

T(more_headers_than_a_program_has_are_not_read)
{
    static Elf64_Phdr p[HEADERS];
    for (size_t i = 0; i < HEADERS; i++) {
        p[i] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = i, .p_filesz = 1 };
    }
    FILE_OF(fd);
    Elf64_Ehdr h = header(HEADERS, sizeof(*p));
    REQUIRE(put(fd, &h, p, HEADERS));
    otr_image image;
    otr_image_read(fd, SIZE, &image);
    CHECK_INT(image.n_parts, OTR_IMAGE_PARTS);
    CHECK_INT(image.parts[OTR_IMAGE_PARTS - 1].at, OTR_IMAGE_PARTS - 1);
}

T(headers_of_a_32_bit_program_are_read_the_same)
{
    static Elf32_Phdr p[HEADERS];
    for (unsigned i = 0; i < HEADERS; i++) {
        p[i] = (Elf32_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 7 + i, .p_filesz = 2 };
    }
    const Elf64_Ehdr like = header(0, 0);
    Elf32_Ehdr h = { .e_phoff = sizeof(h), .e_phnum = 2, .e_phentsize = sizeof(*p) };
    memcpy(h.e_ident, like.e_ident, sizeof(h.e_ident));
    h.e_ident[EI_CLASS] = ELFCLASS32;
    FILE_OF(fd);
    REQUIRE(pwrite(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) &&
            pwrite(fd, p, sizeof(p), sizeof(h)) == (ssize_t)sizeof(p));
    check_parts(fd, SIZE, (part[]){ { 7, 2 }, { 8, 2 } }, 2);
    h.e_phnum = HEADERS;
    REQUIRE(pwrite(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h));
    otr_image image;
    otr_image_read(fd, SIZE, &image);
    CHECK_INT(image.n_parts, OTR_IMAGE_PARTS);
    h.e_phnum = 2;
    h.e_phentsize++;
    REQUIRE(pwrite(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h));
    check_parts(fd, SIZE, (part[]){ { 0, SIZE } }, 1);
}

T(headers_beyond_the_file_are_not_there)
{
    static const uint64_t offsets[] = { SIZE, UINT64_MAX, INT64_MAX, UINT64_MAX - 55,
                                        INT64_MAX / 2 };
    for (size_t i = 0; i < OTR_COUNT(offsets); i++) {
        FILE_OF(fd);
        Elf64_Phdr p = { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 10, .p_filesz = 20 };
        Elf64_Ehdr h = header(3, sizeof(p));
        h.e_phoff = offsets[i];
        REQUIRE(put(fd, &h, &p, 1));
        check_parts(fd, SIZE, (part[]){ { 0, SIZE } }, 1);
    }
}

T(parts_end_with_the_file)
{
    static const Elf64_Phdr p[] = {
        { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = UINT64_MAX, .p_filesz = UINT64_MAX },
        { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = SIZE, .p_filesz = 1 },
        { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = SIZE - 1, .p_filesz = UINT64_MAX },
        { .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = 5, .p_filesz = 0 },
    };
    FILE_OF(fd);
    Elf64_Ehdr h = header(OTR_COUNT(p), sizeof(*p));
    REQUIRE(put(fd, &h, p, OTR_COUNT(p)));
    check_parts(fd, SIZE, (part[]){ { SIZE - 1, 1 } }, 1);
}
