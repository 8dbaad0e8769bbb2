/*
 * The agent's log: one line an event, a constant message and data as keys.
 *
 *     otr_log_warn("config reload failed, keeping old config", "file", path, "err", err.msg);
 *
 * Line format as Go's slog text handler writes it: time=… level=… msg="…" key=value. Foreign bytes
 * are quoted and escaped. Libraries log at debug level at most; modules and daemon log each
 * failure once. Numbers go through OTR_U64() and OTR_I64().
 *
 * Thread: any. The sink is the one mutable global of the program.
 */
#ifndef OTR_BASE_LOG_H
#define OTR_BASE_LOG_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "base/log_writer.h"

typedef enum otr_log_level {
    OTR_LOG_DEBUG,
    OTR_LOG_INFO,
    OTR_LOG_WARN,
    OTR_LOG_ERROR,
} otr_log_level;

/* "error" … "debug", any case; anything else gives OTR_LOG_INFO (as NGINX Agent does). */
otr_log_level otr_log_level_of(const char *name);
const char *otr_log_level_name(otr_log_level level); /* "ERROR" … */

void otr_log_set_level(otr_log_level level); /* start: info */
otr_log_level otr_log_get_level(void);

/* Log to standard error and, when `path` is not "", also to that file (appended, mode 0600; a
 * directory or a trailing '/' means `<path>/agent.log`). Call again to reopen after a rotation.
 * On error the old sink stays. */
otr_code otr_log_open(const char *path, otr_err *err) OTR_MUST_CHECK;
/* The end of the program: what waits is written, for half a second at most. */
void otr_log_close(void);
/* Is it the log file that is open now? */
bool otr_log_goes_to(uint64_t dev, uint64_t ino);
/* From now on threads of their own write, so that nobody who logs waits for who reads. */
void otr_log_start(void);
/* How standard error and the file fare. */
void otr_log_health_read(otr_log_health *ret_screen, otr_log_health *ret_file);

/* Key and value strings, ended by NULL. A NULL value prints as "". */
void otr_log(otr_log_level level, const char *msg, ...) OTR_SENTINEL;

#define otr_log_error(...) otr_log(OTR_LOG_ERROR, __VA_ARGS__, (char *)NULL)
#define otr_log_warn(...)  otr_log(OTR_LOG_WARN, __VA_ARGS__, (char *)NULL)
#define otr_log_info(...)  otr_log(OTR_LOG_INFO, __VA_ARGS__, (char *)NULL)
#define otr_log_debug(...) otr_log(OTR_LOG_DEBUG, __VA_ARGS__, (char *)NULL)

/* Numbers as text; the storage lives to the end of the enclosing block. */
#define OTR_U64(value) otr_u64_text((char[24]){ 0 }, (uint64_t)(value))
#define OTR_I64(value) otr_i64_text((char[24]){ 0 }, (int64_t)(value))
const char *otr_u64_text(char out[24], uint64_t value);
const char *otr_i64_text(char out[24], int64_t value);

#endif
