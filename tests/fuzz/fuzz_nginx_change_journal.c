/*
 * A journal after a crash. An input that begins with 'r' is the file as it is; of any other the
 * rest is a row of fields, each the content of a record, which get their digests here, so that what
 * lies behind these is met, too. Whatever is read can be written again and reads as the same.
 */
#include <stdlib.h>

#include "base/frame.h"
#include "base/limits.h"
#include "nginx/change/fileops.h"
#include "nginx/change/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static const otr_root here = { .path = "" };

static void check_work(const otr_work *w)
{
    need(otr_change_is_id(w->id));
    for (size_t i = 0; i < w->n_folders; i++) {
        const otr_work_folder *f = &w->folders[i];
        need(f->path[0] == '/' && f->allowed <= strlen(f->path) && f->actor < w->actors.n);
        need(!f->make || f->parent < i);
    }
    for (size_t i = 0; i < w->n_steps; i++) {
        need(w->steps[i].folder < w->n_folders && strchr(w->steps[i].name, '/') == NULL);
        need(w->steps[i].name[0] != '\0' && strcmp(w->steps[i].name, "..") != 0);
    }
    need(w->state >= OTR_CHANGE_PREPARED && w->state <= OTR_CHANGE_UNDONE);
}

static void check_again(const otr_work *w)
{
    otr_buf out;
    otr_work again;
    otr_record_result result;
    otr_buf_init(&out, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    otr_work_init(&again);
    need(otr_record_begin(w, &out, NULL) == OTR_OK);
    need(otr_record_staged(w, &out, NULL) == OTR_OK);
    need(otr_records_read(otr_buf_bytes(&out), &here, &again, &result, NULL) == OTR_OK);
    need(result.verdict == OTR_RECORDS_WHOLE && result.end == out.n);
    need(again.n_steps == w->n_steps && again.n_folders == w->n_folders && again.staged);
    otr_work_deinit(&again, &otr_fileops_system);
    otr_buf_deinit(&out);
}

static void read_journal(otr_bytes journal)
{
    otr_work work;
    otr_record_result result;
    otr_work_init(&work);
    otr_code rc = otr_records_read(journal, &here, &work, &result, NULL);
    if (rc == OTR_OK && result.verdict == OTR_RECORDS_WHOLE) {
        need(result.end <= journal.n);
        check_work(&work);
        check_again(&work);
    }
    otr_work_deinit(&work, &otr_fileops_system);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_bytes left = { size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0 }, field;
    if (size > 0 && data[0] == 'r') {
        read_journal(left);
        return 0;
    }
    otr_buf out;
    char sum[OTR_SHA256_HEX_BYTES];
    otr_buf_init(&out, OTR_LIMIT_CHANGE_JOURNAL_BYTES);
    need(otr_buf_adds(&out, "OTRJRNL1", NULL) == OTR_OK);
    while (otr_frame_take(&left, &field)) {
        need(otr_frame_put(field, &out, NULL) == OTR_OK);
        (void)otr_blake2b_hex(field, sum);
        need(otr_frame_put((otr_bytes){ (const uint8_t *)sum, 32 }, &out, NULL) == OTR_OK);
    }
    read_journal(otr_buf_bytes(&out));
    otr_buf_deinit(&out);
    return 0;
}
