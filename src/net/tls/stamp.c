#include "net/tls/stamp.h"

#include <sys/stat.h>

otr_stamp otr_stamp_of(const char *path)
{
    struct stat st;
    if (path == NULL || path[0] == '\0' || stat(path, &st) != 0) {
        return (otr_stamp){ 0 };
    }
    return (otr_stamp){
        .there = true,
        .dev = (uint64_t)st.st_dev,
        .ino = (uint64_t)st.st_ino,
        .size = (uint64_t)st.st_size,
        .written_s = (int64_t)st.st_mtim.tv_sec,
        .written_ns = (int64_t)st.st_mtim.tv_nsec,
        .changed_s = (int64_t)st.st_ctim.tv_sec,
        .changed_ns = (int64_t)st.st_ctim.tv_nsec,
    };
}

bool otr_stamp_same(const otr_stamp *a, const otr_stamp *b)
{
    return a->there == b->there && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->written_s == b->written_s && a->written_ns == b->written_ns &&
           a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}
