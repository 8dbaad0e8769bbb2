/*
 * A snapshot from inside: one setting for each row of the tables, sorted by path.
 *
 * Sources write settings in the order of precedence (default, file, environment, flags); each call
 * either replaces a value or leaves it. After the last, otr_settings_finish() cleans the winners.
 *
 * Thread: one at a time while loading; then immutable.
 */
#ifndef OTR_CONFIG_SETTINGS_H
#define OTR_CONFIG_SETTINGS_H

#include <stdatomic.h>

#include "base/arena.h"
#include "config/config.h"
#include "config/node.h"

typedef struct otr_setting {
    const otr_key *key;
    otr_origin origin;
    const char *from; /* "file:line:column", the variable or the flag; "" for a default */
    const char *text; /* as it was given; "" for lists, labels and trees */
    union {
        bool yes;
        int64_t whole;
        double number;
        uint64_t ns;
        const char *const *list; /* strings, or pairs for labels */
        const otr_node *tree;
    };
} otr_setting;

struct otr_config {
    _Atomic unsigned refs; /* the one thing that changes later: snapshots cross threads */
    otr_arena arena;
    const char *file;
    otr_setting *settings;
    size_t n;
    const char **warnings; /* NULL-terminated */
    size_t warnings_n, warnings_cap;
};

/* Makes the settings of all tables with their defaults. */
otr_code otr_settings_init(otr_config *cfg, const otr_key *const *tables, otr_err *err)
    OTR_MUST_CHECK;
otr_setting *otr_settings_find(const otr_config *cfg, const char *path); /* NULL: no such key */
/* True when a key that YAML may hold lies below `path`. */
bool otr_settings_is_section(const otr_config *cfg, const char *path);

/* Where a value comes from: `origin` and the name that errors and otr_setting.from get. */
typedef struct otr_place {
    otr_origin origin;
    const char *from;
} otr_place;

/* The value in its one-line form. A second flag of a list or of labels adds to the first. */
otr_code otr_setting_take_text(otr_config *cfg, otr_setting *s, const otr_place *place,
                               const char *text, otr_err *err) OTR_MUST_CHECK;
/* The value of a YAML node; a null leaves the setting as it is. */
otr_code otr_setting_take_node(otr_config *cfg, otr_setting *s, const otr_node *node, otr_err *err)
    OTR_MUST_CHECK;

otr_code otr_settings_warn(otr_config *cfg, otr_err *err, const char *format, ...) OTR_PRINTF(3, 4)
OTR_MUST_CHECK;
/* Cleans folders, labels and choices; what is left out becomes a warning. */
otr_code otr_settings_finish(otr_config *cfg, otr_err *err) OTR_MUST_CHECK;

/* The sources beside the defaults. */
otr_code otr_source_file(otr_config *cfg, otr_err *err) OTR_MUST_CHECK;
otr_code otr_source_env(otr_config *cfg, const char *const *env, otr_err *err) OTR_MUST_CHECK;
otr_code otr_source_flags(otr_config *cfg, int argc, char *const *argv, otr_err *err)
    OTR_MUST_CHECK;

/* "data_plane_config.nginx" as a flag is written: "data-plane-config-nginx". Returns `out`. */
#define OTR_KEY_NAME_BYTES 128
const char *otr_key_flag(const otr_key *key, char out[OTR_KEY_NAME_BYTES]);

#endif
