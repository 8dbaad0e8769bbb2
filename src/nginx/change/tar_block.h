/*
 * The header block of a tar archive, as POSIX.1 (ustar) lays it out.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHANGE_TAR_BLOCK_H
#define OTR_NGINX_CHANGE_TAR_BLOCK_H

#include "base/base.h"

enum { OTR_TAR_BLOCK = 512 };

typedef struct otr_tar_block {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[8]; /* "ustar", NUL, "00"; GNU: "ustar  ", NUL */
    char uname[32];
    char gname[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char pad[12];
} otr_tar_block;

_Static_assert(sizeof(otr_tar_block) == OTR_TAR_BLOCK, "no room between the fields");

typedef enum otr_tar_bytes { OTR_TAR_UNSIGNED, OTR_TAR_SIGNED } otr_tar_bytes;
/* The sum of all bytes, with spaces in place of the checksum. Some old writers added signed ones.
 */
static inline uint64_t otr_tar_sum(const otr_tar_block *block, otr_tar_bytes kind)
{
    const uint8_t *p = (const uint8_t *)block;
    size_t from = offsetof(otr_tar_block, checksum), to = from + sizeof(block->checksum);
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof(*block); i++) {
        int byte = i >= from && i < to ? ' ' : p[i];
        sum += kind == OTR_TAR_SIGNED && byte > 127 ? byte - 256 : byte;
    }
    return (uint64_t)sum;
}

#endif
