#include "nginx/status/stub_status.h"
#include "support/test.h"

static void refuse(const char *text)
{
    otr_stub_status s;
    otr_err err = { 0 };
    CHECK_INT(otr_stub_status_parse(otr_bytes_of(text), &s, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "not a stub_status page: \"");
}

T(anything_else_is_refused)
{
    refuse("");
    refuse("<html>Active connections: 1</html>");
    refuse("Active connections: ");
    refuse("Active connections: 1\nserver accepts handled requests\n 1 1\nReading: 0");
    refuse("Active connections: -1 \nserver accepts handled requests\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: 0 \n");
    refuse("Active connections: 99999999999999999999 \nserver accepts handled requests\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: 0 \n");
    refuse("Active connections: 1 \nserver accepts handled requests\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: ");
}

T(status_text_is_read)
{
    otr_stub_status s;
    otr_err err;
    REQUIRE_OK(
        otr_stub_status_parse(
            otr_bytes_of("Active connections: 291 \nserver accepts handled requests\n "
                         "16630948 16630946 31070465 \nReading: 6 Writing: 179 Waiting: 106 \n"),
            &s, &err),
        err);
    CHECK_INT(s.active, 291);
    CHECK_INT(s.accepted, 16630948);
    CHECK_INT(s.handled, 16630946);
    CHECK_INT(s.requests, 31070465);
    CHECK_INT(s.reading, 6);
    CHECK_INT(s.writing, 179);
    CHECK_INT(s.waiting, 106);
}

/* One more column, and the sum of it behind the three. */
T(status_text_of_tengine_is_read)
{
    otr_stub_status s;
    otr_err err;
    REQUIRE_OK(
        otr_stub_status_parse(
            otr_bytes_of("Active connections: 1 \nserver accepts handled requests "
                         "request_time\n 11 12 13 1415 \nReading: 0 Writing: 1 Waiting: 2 \n"),
            &s, &err),
        err);
    CHECK_INT(s.accepted, 11);
    CHECK_INT(s.handled, 12);
    CHECK_INT(s.requests, 13);
    CHECK_INT(s.writing, 1);
    CHECK_INT(s.waiting, 2);
    refuse("Active connections: 1 \nserver accepts handled requests request_time\n 1 1 1 \n"
           "Reading: 0 Writing: 1 Waiting: 2 \n");
}

T(what_came_instead_is_shown_without_harm)
{
    otr_stub_status s;
    otr_err err;
    CHECK_INT(otr_stub_status_parse(
                  otr_bytes_of("<h1>\n\x1b[2J\"pool\"</h1> and so on for a long time"), &s, &err),
              OTR_EINVAL);
    CHECK_STR(err.msg, "not a stub_status page: \"<h1>  [2J pool </h1> and so on for a lon\"");
}
