#include "base/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"

/* Numbers kept from OTR_FDS_MANY, and from OTR_FDS_PAGE; of a small limit an eighth. */
enum { KEPT_FROM_MANY = 128, KEPT_FROM_PAGE = 64, SMALLEST_PART = 8 };

static uint64_t soft_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return OTR_LIMIT_FDS;
    }
    return limit.rlim_cur;
}

static uint64_t kept(uint64_t limit, uint64_t wanted)
{
    uint64_t part = limit * wanted / KEPT_FROM_MANY / (SMALLEST_PART / 2);
    return part < wanted ? part : wanted;
}

static uint64_t line_of(uint64_t limit, otr_fds_share share)
{
    switch (share) {
    case OTR_FDS_MANY:
        return limit - kept(limit, KEPT_FROM_MANY);
    case OTR_FDS_PAGE:
        return limit - kept(limit, KEPT_FROM_PAGE);
    default:
        return limit;
    }
}

bool otr_fds_within(int fd, otr_fds_share share)
{
    return (uint64_t)fd < line_of(soft_limit(), share);
}

int otr_fds_claim(int fd, otr_fds_share share)
{
    if (fd < 0 || otr_fds_within(fd, share)) {
        return fd;
    }
    close(fd);
    errno = EMFILE;
    return -1;
}

bool otr_fds_lack(int sys)
{
    return sys == EMFILE || sys == ENFILE;
}

void otr_fds_room_read(otr_fds_room *ret)
{
    uint64_t limit = soft_limit();
    *ret = (otr_fds_room){ .limit = limit, .used = limit, .many = line_of(limit, OTR_FDS_MANY) };
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ret->used = (uint64_t)fd;
        close(fd);
    }
}

static void fill_standard(void)
{
    int fd = open("/dev/null", O_RDWR); /* the lowest free number, inherited as these are */
    while (fd >= 0 && fd <= STDERR_FILENO) {
        fd = open("/dev/null", O_RDWR);
    }
    if (fd >= 0) {
        close(fd);
    }
}

void otr_fds_init(otr_fds *fds)
{
    *fds = (otr_fds){ .spare = { -1, -1, -1, -1 } };
    fill_standard();
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        fds->limit_before = limit.rlim_cur;
        rlim_t most = limit.rlim_max < OTR_LIMIT_FDS ? limit.rlim_max : OTR_LIMIT_FDS;
        if (limit.rlim_cur < most) {
            limit.rlim_cur = most;
            (void)setrlimit(RLIMIT_NOFILE, &limit); /* else the limit stays as it is */
        }
    }
    otr_fds_restore(fds);
}

void otr_fds_deinit(otr_fds *fds)
{
    while (otr_fds_lend(fds)) {
    }
}

bool otr_fds_lend(otr_fds *fds)
{
    for (size_t i = 0; i < OTR_FDS_SPARES; i++) {
        if (fds->spare[i] >= 0) {
            close(fds->spare[i]);
            fds->spare[i] = -1;
            return true;
        }
    }
    return false;
}

void otr_fds_restore(otr_fds *fds)
{
    for (size_t i = 0; i < OTR_FDS_SPARES; i++) {
        if (fds->spare[i] < 0) {
            fds->spare[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        }
    }
}
