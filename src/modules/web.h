/*
 * Pages that are built into the binary: web/embed.cmake writes them as arrays.
 *
 * Thread: constant.
 */
#ifndef OTR_MODULES_WEB_H
#define OTR_MODULES_WEB_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t otr_web_status_page[]; /* web/status.html, with a NUL that is not counted */
extern const size_t otr_web_status_page_bytes;

#endif
