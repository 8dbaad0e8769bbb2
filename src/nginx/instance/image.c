#include "nginx/instance/image.h"

#include <elf.h>
#include <stdbool.h>
#include <unistd.h>

enum { PHDRS_MOST = 64 };

typedef struct segment {
    uint64_t at, n;
    bool loaded, writable, code;
} segment;

static bool read_at(int fd, uint64_t at, void *out, size_t n)
{
    return at <= INT64_MAX - n && pread(fd, out, n, (off_t)at) == (ssize_t)n;
}

static segment segment_of(uint32_t type, uint32_t flags, uint64_t at, uint64_t n)
{
    return (segment){ .at = at,
                      .n = n,
                      .loaded = type == PT_LOAD,
                      .writable = (flags & PF_W) != 0,
                      .code = (flags & PF_X) != 0 };
}

static bool ours(const unsigned char ident[EI_NIDENT])
{
    const uint16_t one = 1;
    unsigned char order = *(const unsigned char *)&one == 1 ? ELFDATA2LSB : ELFDATA2MSB;
    return memcmp(ident, ELFMAG, SELFMAG) == 0 && ident[EI_DATA] == order;
}

static size_t segments_64(int fd, segment *out)
{
    Elf64_Ehdr head;
    if (!read_at(fd, 0, &head, sizeof(head)) || head.e_phentsize != sizeof(Elf64_Phdr)) {
        return 0;
    }
    size_t n = 0;
    for (; n < head.e_phnum && n < PHDRS_MOST; n++) {
        Elf64_Phdr p;
        if (head.e_phoff > INT64_MAX / 2 ||
            !read_at(fd, head.e_phoff + n * sizeof(p), &p, sizeof(p))) {
            break;
        }
        out[n] = segment_of(p.p_type, p.p_flags, p.p_offset, p.p_filesz);
    }
    return n;
}

static size_t segments_32(int fd, segment *out)
{
    Elf32_Ehdr head;
    if (!read_at(fd, 0, &head, sizeof(head)) || head.e_phentsize != sizeof(Elf32_Phdr)) {
        return 0;
    }
    size_t n = 0;
    for (; n < head.e_phnum && n < PHDRS_MOST; n++) {
        Elf32_Phdr p;
        if (!read_at(fd, head.e_phoff + n * sizeof(p), &p, sizeof(p))) {
            break;
        }
        out[n] = segment_of(p.p_type, p.p_flags, p.p_offset, p.p_filesz);
    }
    return n;
}

static void add_part(otr_image *image, uint64_t at, uint64_t n, uint64_t size)
{
    if (at < size && n > 0 && image->n_parts < OTR_IMAGE_PARTS) {
        image->parts[image->n_parts].at = at;
        image->parts[image->n_parts++].n = n < size - at ? n : size - at;
    }
}

void otr_image_read(int fd, uint64_t size, otr_image *ret)
{
    unsigned char ident[EI_NIDENT];
    segment segments[PHDRS_MOST];
    size_t n = 0;
    *ret = (otr_image){ 0 };
    if (read_at(fd, 0, ident, sizeof(ident)) && ours(ident)) {
        n = ident[EI_CLASS] == ELFCLASS64 ? segments_64(fd, segments) : segments_32(fd, segments);
    }
    /* Linkers of today put constants behind the code and apart from it; others put them into it. */
    bool seen_code = false, apart = false;
    for (size_t i = 0; i < n; i++) {
        bool constant = segments[i].loaded && !segments[i].writable;
        seen_code |= constant && segments[i].code;
        apart |= constant && !segments[i].code && seen_code;
    }
    for (size_t i = 0; i < n; i++) {
        if (segments[i].loaded && !segments[i].writable && !(apart && segments[i].code)) {
            add_part(ret, segments[i].at, segments[i].n, size);
        }
    }
    if (ret->n_parts == 0) {
        add_part(ret, 0, size, size);
    }
}
