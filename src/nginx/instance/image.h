/*
 * The parts of an executable that are loaded and never written: where its constant texts are.
 *
 * Debug information, and whatever else a file carries beside its program, is left out. A file that
 * is no ELF file of this machine's byte order counts as one part.
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_INSTANCE_IMAGE_H
#define OTR_NGINX_INSTANCE_IMAGE_H

#include "base/base.h"

enum { OTR_IMAGE_PARTS = 16 };

typedef struct otr_image {
    struct {
        uint64_t at, n; /* bytes of the file */
    } parts[OTR_IMAGE_PARTS];
    size_t n_parts;
} otr_image;

/* `size`: of the file; no part goes beyond it. */
void otr_image_read(int fd, uint64_t size, otr_image *ret);

#endif
