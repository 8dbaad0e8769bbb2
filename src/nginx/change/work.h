/*
 * A transaction from inside: its folders and steps, from a plan or from a journal.
 *
 * A step is one name of one folder. Step n has the hidden names of number n (names.h). Where its
 * old and its new file are is asked of the file system by otr_inode.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHANGE_WORK_H
#define OTR_NGINX_CHANGE_WORK_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/change/change.h"
#include "nginx/change/entry.h"
#include "nginx/change/names.h"
#include "nginx/change/place.h"

/* One file, whatever it is called. All 0: none, or not known. */
typedef struct otr_inode {
    uint64_t dev, ino, size, mtime_ns;
} otr_inode;

otr_inode otr_inode_of(const struct stat *st);

typedef struct otr_work_folder {
    const char *path;
    size_t allowed; /* bytes of it that are the allowed folder */
    uid_t uid;      /* whose rights, if they are not those of the NGINX's user */
    bool as_owner;
    bool make;     /* it is not there and will be made */
    size_t parent; /* of one that is made */
    size_t actor;  /* of the work's actors */
    int fd;        /* for reading; -1: not open, or not there */
    otr_inode id;  /* its size and time do not count */
    bool dirty;    /* has names that are not synced */
} otr_work_folder;

typedef struct otr_step {
    otr_plan_action action; /* ADD, UPDATE (attributes, too) or DELETE */
    size_t folder;
    const char *name;
    otr_inode before, after;
    const otr_plan_entry *entry; /* NULL after a crash */
} otr_step;

typedef struct otr_work {
    char id[OTR_CHANGE_ID_BYTES];
    char boot[40]; /* of the machine; devices have other numbers after the next one */
    bool same_boot;
    bool staged; /* `after` of the steps and `id` of the folders are known */
    uint64_t began_s;
    otr_actors actors;
    otr_work_folder *folders;
    size_t n_folders, cap_folders;
    otr_step *steps;
    size_t n_steps, cap_steps;
    otr_buf note, mark_note;
    otr_change_state state;
    unsigned reached; /* bits, by state */
    otr_arena texts;
} otr_work;

void otr_work_init(otr_work *work);
void otr_work_deinit(otr_work *work, const otr_fileops *ops);
/* Folders and steps of all items that are not unchanged. */
otr_code otr_work_of_plan(otr_work *work, const otr_plan *plan, otr_err *err) OTR_MUST_CHECK;

void otr_work_set_state(otr_work *work, otr_change_state state);
void otr_work_read_boot(char out[40]);

/* "<folder>/<name>" for messages, in one of a few buffers of `out`. */
const char *otr_work_path(const otr_work *work, const otr_step *step, char *out, size_t cap);

/* Opens every folder that is there. OTR_ESTATE: it is another one than `id` says. A missing one is
 * left closed if it is to be made, or when `may_miss`. */
typedef enum otr_missing { OTR_MISSING_FAILS, OTR_MISSING_IS_FINE } otr_missing;
otr_code otr_work_open(otr_work *work, const otr_fileops *ops, otr_missing missing, otr_err *err)
    OTR_MUST_CHECK;
/* OTR_ESTATE: a folder that is to be made is there. */
otr_code otr_work_check_new(const otr_work *work, otr_err *err) OTR_MUST_CHECK;
/* Do the paths still lead to the folders that are open? OTR_ESTATE: they do not. */
otr_code otr_work_verify(otr_work *work, const otr_fileops *ops, otr_err *err) OTR_MUST_CHECK;
/* Syncs the folders that are dirty. */
otr_code otr_work_sync(otr_work *work, const otr_fileops *ops, otr_err *err) OTR_MUST_CHECK;

/* Is `st` that file? By device and inode; "as it was": its content has not changed either. */
bool otr_work_is(const otr_work *work, const otr_inode *id, const struct stat *st);
bool otr_work_is_as_it_was(const otr_work *work, const otr_inode *id, const struct stat *st);

#endif
