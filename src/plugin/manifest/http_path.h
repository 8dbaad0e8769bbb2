/*
 * How servers may read the path of a request.
 *
 * A server, or a proxy before it, may decode a path once more, take '\' for '/', merge slashes and
 * cut parameters (";…") from each part. A grant holds for a path only when every such reading of it
 * leads to the same grant; a path that climbs ("..", "..;x", "%2e%2e", "..%3b", "%252e.") in any of
 * them is refused whatever the grants say.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_MANIFEST_HTTP_PATH_H
#define OTR_PLUGIN_MANIFEST_HTTP_PATH_H

#include "base/base.h"
#include "base/limits.h"

/* A path that changes in more rounds of decoding is refused. */
enum { OTR_HTTP_PATH_ROUNDS = 4 };

typedef struct otr_http_path {
    char text[OTR_LIMIT_PLUGIN_URL_BYTES + 1];
} otr_http_path;

/* NULL, or a reason for people: a part of `path` climbs in some reading. */
const char *otr_http_path_climbs(const char *path);
/* The same, and when it cannot be read alike by all: a broken escape, an encoded control, bytes
 * that are an overlong '.' or '/', encoded more than OTR_HTTP_PATH_ROUNDS times, too long. */
const char *otr_http_path_check(const char *path);
/* The reading of a checked `path` after `rounds` of decoding. Returns `ret->text`. */
const char *otr_http_path_read(const char *path, unsigned rounds, otr_http_path *ret);

#endif
