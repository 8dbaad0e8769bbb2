#include "host/sections.h"
#include "host/text.h"

enum { SECTOR_BYTES = 512, COLUMNS = 11 }; /* sectors are that long whatever the disk says */

static double s_of_ms(uint64_t ms)
{
    return (double)ms / 1e3;
}

otr_code otr_host_disks_parse(otr_bytes diskstats, otr_host_disks *ret, otr_err *err)
{
    otr_bytes line, major, minor, name;
    while (otr_host_line(&diskstats, &line)) {
        uint64_t v[COLUMNS];
        size_t n = 0;
        if (!otr_host_word(&line, &major) || !otr_host_word(&line, &minor) ||
            !otr_host_word(&line, &name)) {
            continue;
        }
        while (n < COLUMNS && otr_host_next_u64(&line, &v[n])) {
            n++;
        }
        if (n < COLUMNS) {
            continue;
        }
        otr_host_disk disk = {
            .read = { v[0], v[1], v[2] * SECTOR_BYTES, s_of_ms(v[3]) },
            .write = { v[4], v[5], v[6] * SECTOR_BYTES, s_of_ms(v[7]) },
            .pending = v[8],
            .busy_s = s_of_ms(v[9]),
            .weighted_s = s_of_ms(v[10]),
        };
        otr_host_copy(name, disk.name, sizeof(disk.name));
        otr_code rc = OTR_HOST_PUSH(ret, disk, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}
