#include "net/rpc/token.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "net/tls/stamp.h"

struct otr_rpc_token {
    char *path, *scheme;
    char *text; /* scheme and token; NULL: none yet */
    otr_stamp read;
    otr_tls_change untold;
    char problem[OTR_ERR_MSG_BYTES];
};

/* Puts scheme and trimmed token together. */
static otr_code take(otr_rpc_token *token, otr_bytes value, otr_err *err)
{
    static const char space[] = " \t\r\n\v\f";
    while (value.n > 0 && memchr(space, value.p[0], sizeof(space) - 1) != NULL) {
        value.p++;
        value.n--;
    }
    while (value.n > 0 && memchr(space, value.p[value.n - 1], sizeof(space) - 1) != NULL) {
        value.n--;
    }
    if (value.n == 0) {
        return otr_fail(err, OTR_EINVAL, "the token is empty");
    }
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] <= ' ' || value.p[i] >= 0x7f) {
            return otr_fail(err, OTR_EINVAL, "the token has characters that no header has");
        }
    }
    size_t before = strlen(token->scheme);
    char *text = otr_alloc(before + value.n + 1);
    if (text == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(text, token->scheme, before);
    memcpy(text + before, value.p, value.n);
    text[before + value.n] = '\0';
    otr_free(token->text);
    token->text = text;
    return OTR_OK;
}

static otr_code read_file(otr_rpc_token *token, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_RPC_TOKEN_BYTES);
    token->read = otr_stamp_of(token->path);
    otr_code rc = otr_buf_read_file(&text, token->path, err);
    if (rc == OTR_OK) {
        rc = take(token, otr_buf_bytes(&text), err);
        rc = rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "%s", token->path);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code start(otr_rpc_token *token, const otr_rpc_token_spec *spec, otr_err *err)
{
    token->path = otr_strdup(spec->path != NULL ? spec->path : "");
    token->scheme = otr_strdup(spec->scheme != NULL ? spec->scheme : "");
    if (token->path == NULL || token->scheme == NULL) {
        return otr_fail_nomem(err);
    }
    otr_err why = { 0 };
    otr_code rc = OTR_OK;
    if (token->path[0] != '\0') {
        rc = read_file(token, &why);
        (void)snprintf(token->problem, sizeof(token->problem), "%s", why.msg);
    }
    if (token->text == NULL && spec->value != NULL && spec->value[0] != '\0') {
        return take(token, otr_bytes_of(spec->value), err);
    }
    if (token->text == NULL) {
        return rc != OTR_OK ? otr_fail(err, rc, "%s", why.msg)
                            : otr_fail(err, OTR_EINVAL, "no token is set");
    }
    return OTR_OK;
}

otr_code otr_rpc_token_new(const otr_rpc_token_spec *spec, otr_rpc_token **ret, otr_err *err)
{
    otr_rpc_token *token = otr_zalloc(sizeof(*token));
    if (token == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = start(token, spec, err);
    if (rc != OTR_OK) {
        otr_rpc_token_free(token);
        return rc;
    }
    *ret = token;
    return OTR_OK;
}

void otr_rpc_token_free(otr_rpc_token *token)
{
    if (token != NULL) {
        otr_free(token->path);
        otr_free(token->scheme);
        otr_free(token->text);
        otr_free(token);
    }
}

static void look(otr_rpc_token *token)
{
    otr_stamp now = otr_stamp_of(token->path);
    if (token->path[0] == '\0' || otr_stamp_same(&now, &token->read)) {
        return;
    }
    otr_err why = { 0 };
    if (read_file(token, &why) == OTR_OK) {
        token->problem[0] = '\0';
        token->untold = OTR_TLS_TAKEN;
    } else {
        (void)snprintf(token->problem, sizeof(token->problem), "%s", why.msg);
        token->untold = OTR_TLS_REFUSED;
    }
}

const char *otr_rpc_token_text(otr_rpc_token *token)
{
    look(token);
    return token->text;
}

otr_tls_change otr_rpc_token_refresh(otr_rpc_token *token, otr_err *err)
{
    look(token);
    otr_tls_change change = token->untold;
    token->untold = OTR_TLS_SAME;
    if (change == OTR_TLS_REFUSED) {
        (void)otr_fail(err, OTR_EINVAL, "%s", token->problem);
    }
    return change;
}

const char *otr_rpc_token_problem(const otr_rpc_token *token)
{
    return token->problem;
}
