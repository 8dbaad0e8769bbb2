#include <stdio.h>

#include "base/path.h"
#include "support/test.h"

T(a_clean_path_has_no_empty_and_no_dot_parts)
{
    static const char *const all[][2] = {
        { "/", "/" },
        { "//", "/" },
        { "/.", "/" },
        { "/./", "/" },
        { "/a", "/a" },
        { "/a/", "/a" },
        { "/a//b", "/a/b" },
        { "//a/./b/.", "/a/b" },
        { "/.a/..", "/.a/.." },
        { "/a/../b", "/a/../b" },
        { "/a.", "/a." },
        { "/...", "/..." },
        { "/a/.b./", "/a/.b." },
    };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "%s", all[i][0]);
        CHECK_INT(otr_path_clean(path), strlen(all[i][1]));
        CHECK_STR(path, all[i][1]);
    }
}
