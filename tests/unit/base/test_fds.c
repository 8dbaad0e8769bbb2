#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fds.h"
#include "base/limits.h"
#include "support/test.h"

static struct rlimit limit_now(void)
{
    struct rlimit limit = { 0 };
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    return limit;
}

static void put_back(const struct rlimit *limit)
{
    (void)setrlimit(RLIMIT_NOFILE, limit);
}

T(a_number_above_the_line_of_its_share_is_given_back)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    struct rlimit small = { .rlim_cur = 256, .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int high = fcntl(low, F_DUPFD_CLOEXEC, 200);
    REQUIRE(low >= 0 && high >= 200);
    CHECK_INT(otr_fds_claim(low, OTR_FDS_MANY), low);
    CHECK_INT(otr_fds_claim(high, OTR_FDS_PAGE), high);
    CHECK_INT(otr_fds_claim(high, OTR_FDS_MANY), -1);
    CHECK_INT(errno, EMFILE);
    CHECK_INT(fcntl(high, F_GETFD), -1); /* closed */
    CHECK_INT(otr_fds_claim(-1, OTR_FDS_MANY), -1);
    CHECK(otr_fds_within(255, OTR_FDS_CORE) && !otr_fds_within(255, OTR_FDS_PAGE));
    close(low);
}

T(the_soft_limit_is_raised_to_the_hard_one)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    struct rlimit small = { .rlim_cur = 64, .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
    otr_fds fds;
    otr_fds_init(&fds);
    rlim_t want = before.rlim_max < OTR_LIMIT_FDS ? before.rlim_max : OTR_LIMIT_FDS;
    CHECK_INT(limit_now().rlim_cur, want);
    CHECK_INT(fds.limit_before, 64);
    otr_fds_deinit(&fds);
}

T(a_spare_makes_room_for_one_descriptor_when_there_is_none)
{
    OTR_CLEANUP(put_back) struct rlimit before = limit_now();
    otr_fds fds;
    otr_fds_init(&fds);
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(lowest >= 0);
    close(lowest);
    struct rlimit none = { .rlim_cur = (rlim_t)lowest, .rlim_max = before.rlim_max };
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_INT(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    CHECK(otr_fds_lack(errno));
    otr_fds_room room;
    otr_fds_room_read(&room);
    CHECK_INT(room.used, room.limit);
    for (int i = 0; i < OTR_FDS_SPARES; i++) {
        CHECK(otr_fds_lend(&fds));
    }
    CHECK(!otr_fds_lend(&fds));
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    otr_fds_restore(&fds);
    CHECK_INT(open("/dev/null", O_RDONLY | O_CLOEXEC), -1);
    otr_fds_deinit(&fds);
}

T(a_closed_standard_error_does_not_become_a_socket)
{
    int kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    REQUIRE(kept >= 0);
    close(STDERR_FILENO);
    otr_fds fds;
    otr_fds_init(&fds);
    CHECK(fcntl(STDERR_FILENO, F_GETFD) >= 0);
    CHECK(fds.spare[0] > STDERR_FILENO);
    (void)dup2(kept, STDERR_FILENO);
    close(kept);
    otr_fds_deinit(&fds);
}
