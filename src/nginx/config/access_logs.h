/*
 * Access logs as plain data: which files, lines of which formats, and which of them count.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CONFIG_ACCESS_LOGS_H
#define OTR_NGINX_CONFIG_ACCESS_LOGS_H

#include <stdbool.h>
#include <stddef.h>

/* One kind of lines in an access log. */
typedef struct otr_nginx_log_format {
    char *text; /* as in log/format.h; NULL: "combined"; "": not known, only lines can be counted */
    bool spare; /* its statuses do not count: other lines stand for the same requests, or none do */
    unsigned repeats; /* lines that one request makes; 0 as 1 */
} otr_nginx_log_format;

/* An access log that is named as a file.
 *
 * NGINX writes a request to every access_log of the level (http, server, location) that applies to
 * it. Of each level one pair of file and format is chosen that stands for its requests: all of them
 * (no `if=`) where there is such a one, with $status, and so that no request has lines in two
 * chosen pairs. All others are spare: they are followed and their lines counted. */
typedef struct otr_nginx_log {
    char *path;
    char *format;                  /* text of the first of `formats`; NULL: "combined" */
    otr_nginx_log_format *formats; /* that its lines may have, those that count first */
    size_t n_formats;              /* 0: as if only `format` were there, and not spare */
    bool conditional;              /* it stands for requests of which `if=` leaves out some */
    char *refused; /* why it is no file that can be followed, a sentence (a remark says so already);
                      NULL: it may be one */
} otr_nginx_log;

/* NULL when memory is out; `n` may be 0, which gives a list as well. */
otr_nginx_log *otr_nginx_logs_copy(const otr_nginx_log *from, size_t n);
void otr_nginx_logs_free(otr_nginx_log *logs, size_t n); /* NULL is fine */
bool otr_nginx_logs_eq(const otr_nginx_log *a, const otr_nginx_log *b, size_t n);

#endif
