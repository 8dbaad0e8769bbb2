#include "net/http/answer.h"

#include <http_parser.h>

#include "base/alloc.h"

struct otr_http_answer {
    http_parser parser;
    otr_http_body_fn *body;
    void *arg;
    unsigned status;
    bool complete;
    otr_err *err; /* of the feed that runs */
    otr_code rc;  /* of the body function */
};

static int on_headers(http_parser *parser)
{
    otr_http_answer *answer = parser->data;
    answer->status = parser->status_code;
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t n)
{
    otr_http_answer *answer = parser->data;
    answer->rc = answer->body(answer->arg, (otr_bytes){ (const uint8_t *)at, n }, answer->err);
    return answer->rc == OTR_OK ? 0 : 1;
}

static int on_complete(http_parser *parser)
{
    otr_http_answer *answer = parser->data;
    bool interim = answer->status >= 100 && answer->status < 200;
    if (interim) {
        answer->status = 0; /* "100 Continue": the answer itself follows */
        return 0;
    }
    answer->complete = true;
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

otr_code otr_http_answer_new(otr_http_body_fn *body, void *arg, otr_http_answer **ret, otr_err *err)
{
    otr_http_answer *answer = otr_zalloc(sizeof(*answer));
    if (answer == NULL) {
        return otr_fail_nomem(err);
    }
    http_parser_init(&answer->parser, HTTP_RESPONSE);
    answer->parser.data = answer;
    answer->body = body;
    answer->arg = arg;
    *ret = answer;
    return OTR_OK;
}

void otr_http_answer_free(otr_http_answer *answer)
{
    otr_free(answer);
}

otr_code otr_http_answer_feed(otr_http_answer *answer, otr_bytes bytes, otr_err *err)
{
    if (answer->complete) {
        return bytes.n == 0 ? OTR_OK
                            : otr_fail(err, OTR_EINVAL, "the peer sent more than one answer");
    }
    answer->err = err;
    size_t used = http_parser_execute(&answer->parser, &settings, (const char *)bytes.p, bytes.n);
    answer->err = NULL;
    enum http_errno why = HTTP_PARSER_ERRNO(&answer->parser);
    if (answer->rc != OTR_OK) {
        return answer->rc;
    }
    if (why == HPE_INVALID_EOF_STATE || (bytes.n == 0 && !answer->complete)) {
        return otr_fail(err, OTR_EINVAL, "the peer closed in the middle of its answer");
    }
    if (why != HPE_OK && why != HPE_PAUSED) {
        return otr_fail(err, OTR_EINVAL, "the peer's answer is not HTTP: %s",
                        http_errno_description(why));
    }
    if (used < bytes.n) {
        return otr_fail(err, OTR_EINVAL, "the peer sent more than one answer");
    }
    return OTR_OK;
}

unsigned otr_http_answer_status(const otr_http_answer *answer)
{
    return answer->status;
}

bool otr_http_answer_complete(const otr_http_answer *answer)
{
    return answer->complete;
}
