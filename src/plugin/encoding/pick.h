/*
 * One value of a message by a path, for guests that are given no more than that; and any bytes as
 * one JSON value, for guests that answer with no more than that.
 *
 * A path is names joined by dots, "data.servers.0.name": a name is the member of an object or, as
 * digits, the item of an array. "\." is a dot in a name, "\\" a backslash.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_ENCODING_PICK_H
#define OTR_PLUGIN_ENCODING_PICK_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

enum { OTR_PICK_BYTES = 256, OTR_PICK_NAMES = 32 }; /* of one path */

/* The names of a path, NULL-terminated: free them by otr_texts_free(). OTR_EINVAL says what is
 * wrong with it, OTR_EQUOTA that it is too long. */
otr_code otr_pick_path(const char *text, char ***ret, otr_err *err) OTR_MUST_CHECK;

/* Is `name` a member of the envelope that guests receive? */
bool otr_pick_is_envelope(const char *name);

/* The value at `path` as it stands in `json`, which is valid JSON: its first member where there are
 * several of one name. A NULL view: there is none. */
otr_bytes otr_pick(otr_bytes json, char *const *path);

/* What a guest is given of a JSON value: the bytes of a string without quotes and escapes, half of
 * a surrogate pair as U+FFFD; all else as it is. `*ret` lies in `value` or in `scratch`, which is
 * cleared. */
otr_code otr_pick_plain(otr_bytes value, otr_buf *scratch, otr_bytes *ret, otr_err *err)
    OTR_MUST_CHECK;

/* Any bytes as one JSON value: as they are when they are JSON, else a string of them, in base64
 * when they are not UTF-8. `*ret` lies in `bytes` or in `scratch`, which is cleared. */
otr_code otr_pick_value_of(otr_bytes bytes, otr_buf *scratch, otr_bytes *ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
