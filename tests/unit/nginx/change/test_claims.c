/* Who waits for whom. */
#include "nginx/change/claims.h"
#include "unit/nginx/change/scene.h"

static void claims_deinit(otr_claims *c)
{
    otr_claims_deinit(c);
}

#define CLAIMS(name) OTR_CLEANUP(claims_deinit) otr_claims name = { .n = 0 }

T(what_two_only_look_at_keeps_nobody)
{
    CLAIMS(a);
    CLAIMS(b);
    otr_err err;
    REQUIRE_OK(otr_claims_add_folder(&a, 1, 2, &err), err);
    REQUIRE_OK(otr_claims_add_folder(&b, 1, 2, &err), err);
    REQUIRE_OK(otr_claims_add_folder(&b, 1, 2, &err), err);
    otr_claims_end(&a);
    otr_claims_end(&b);
    CHECK_INT(b.n, 1);
    CHECK(!otr_claims_meet(&a, &b));
    a.items[0].changes = true;
    CHECK(otr_claims_meet(&a, &b) && otr_claims_meet(&b, &a));
    a.items[0].ino = 3;
    CHECK(!otr_claims_meet(&a, &b));
}

T(a_change_meets_itself_and_who_looks_through_its_folder)
{
    OTR_CLEANUP(scene_deinit) scene s;
    CLAIMS(a);
    CLAIMS(b);
    CLAIMS(folder);
    struct stat st;
    otr_err err = { 0 };
    REQUIRE_OK(scene_ready(&s, &err) ? OTR_OK : OTR_EIO, err);
    REQUIRE_OK(otr_claims_of_plan(&a, s.plan, &err), err);
    REQUIRE_OK(otr_claims_of_plan(&b, s.plan, &err), err);
    otr_claims_end(&a);
    otr_claims_end(&b);
    CHECK(otr_claims_meet(&a, &b));
    REQUIRE(stat(s.conf, &st) == 0);
    REQUIRE_OK(otr_claims_add_folder(&folder, st.st_dev, st.st_ino, &err), err);
    otr_claims_end(&folder);
    CHECK(otr_claims_meet(&a, &folder)); /* it adds and deletes there */
}
