#include "base/texts.h"
#include "support/test.h"

static char a[] = "a", b[] = "b", empty[] = "";
static char *const nothing[] = { NULL }, *const ab[] = { a, b, NULL }, *const ba[] = { b, a, NULL },
                   *const a_[] = { a, NULL }, *const ab_[] = { a, b, empty, NULL };

T(a_copy_is_the_same_and_its_own)
{
    otr_err err;
    char **copy = NULL;
    REQUIRE_OK(otr_texts_copy(ab_, &copy, &err), err);
    CHECK(otr_texts_same(copy, ab_));
    CHECK(copy[0] != a && copy[2] != empty);
    otr_texts_free(copy);
}

T(a_copy_of_nothing_is_an_empty_list)
{
    otr_err err;
    char **copy = NULL;
    REQUIRE_OK(otr_texts_copy(NULL, &copy, &err), err);
    CHECK(copy != NULL && copy[0] == NULL);
    otr_texts_free(copy);
    otr_texts_free(NULL);
}

T(lists_are_the_same_when_length_order_and_texts_are)
{
    CHECK(otr_texts_same(nothing, nothing) && otr_texts_same(ab, ab));
    CHECK(!otr_texts_same(ab, ba) && !otr_texts_same(ab, a_) && !otr_texts_same(a_, ab));
    CHECK(!otr_texts_same(nothing, a_) && !otr_texts_same(ab, ab_));
    CHECK(!otr_texts_same(NULL, nothing) && !otr_texts_same(nothing, NULL));
    CHECK(!otr_texts_same(NULL, NULL));
}

T(a_list_has_what_stands_in_it)
{
    CHECK(otr_texts_have(ab, "a") && otr_texts_have(ab, "b") && otr_texts_have(ab_, ""));
    CHECK(!otr_texts_have(ab, "") && !otr_texts_have(ab, "ab") && !otr_texts_have(nothing, "a"));
    CHECK(!otr_texts_have(NULL, "a"));
}
