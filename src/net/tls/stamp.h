/*
 * Whether a file is still the one that was read: which file, how large, when written.
 *
 * A rename, a link that leads elsewhere (as a mounted secret is renewed) and a write in place all
 * show.
 *
 * Thread: any. Waits for the file system.
 */
#ifndef OTR_NET_TLS_STAMP_H
#define OTR_NET_TLS_STAMP_H

#include <stdbool.h>

#include "base/base.h"

typedef struct otr_stamp {
    bool there;
    uint64_t dev, ino, size;
    int64_t written_s, written_ns, changed_s, changed_ns;
} otr_stamp;

/* "" and NULL are a file that is not there. */
otr_stamp otr_stamp_of(const char *path);
bool otr_stamp_same(const otr_stamp *a, const otr_stamp *b);

#endif
