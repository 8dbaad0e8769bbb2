/*
 * The journal of one instance: a file in the agent's state folder that one transaction holds.
 *
 * The file is made once and then kept; it is empty when nothing is under way. Who has it open holds
 * its lock. Its folder is the agent's own (0700): what is found there is believed.
 *
 * Thread: any, one at a time. Calls block.
 */
#ifndef OTR_NGINX_CHANGE_JOURNAL_H
#define OTR_NGINX_CHANGE_JOURNAL_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/change/fileops.h"

#define OTR_JOURNAL_SUFFIX ".journal"

typedef struct otr_journal {
    const otr_fileops *ops;
    int fd; /* -1: closed */
    uint64_t end;
    char name[160]; /* in messages */
} otr_journal;

typedef enum otr_journal_way {
    OTR_JOURNAL_MAKE, /* folder and file, if they are missing */
    OTR_JOURNAL_FIND, /* OTR_ENOTFOUND */
} otr_journal_way;

/* Opens the folder of journals. OTR_EDENIED: it is somebody else's, or open to others. */
otr_code otr_journal_open_folder(const otr_fileops *ops, const char *folder, otr_journal_way way,
                                 int *ret_fd, otr_err *err) OTR_MUST_CHECK;
/* Opens and locks the journal of `instance`. OTR_ESTATE: somebody has it. */
otr_code otr_journal_open(otr_journal *journal, const otr_fileops *ops, const char *folder,
                          const char *instance, otr_journal_way way, otr_err *err) OTR_MUST_CHECK;
void otr_journal_close(otr_journal *journal);
otr_code otr_journal_read(otr_journal *journal, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

typedef enum otr_journal_sync { OTR_JOURNAL_SYNC, OTR_JOURNAL_LATER } otr_journal_sync;
/* Appends, synced if asked for. After a failure the same call may be made again. */
otr_code otr_journal_append(otr_journal *journal, otr_bytes records, otr_journal_sync sync,
                            otr_err *err) OTR_MUST_CHECK;
/* Makes it empty, synced. */
otr_code otr_journal_clear(otr_journal *journal, otr_err *err) OTR_MUST_CHECK;

#endif
