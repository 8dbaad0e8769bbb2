/*
 * Notices when the file of a guest changes, and has it loaded. Internal to plugin/guest.
 *
 * The kernel tells what happens in the folders of the files, so that a file that is replaced by a
 * rename is seen like one that is written to. A change counts once the file was left alone for
 * OTR_WATCH_STILL_MS; a version that is broken nevertheless is refused by the load, and the old one
 * works on. Nothing is polled but a folder that has vanished.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_WATCH_H
#define OTR_PLUGIN_GUEST_WATCH_H

#include "plugin/guest/guest.h"

enum { OTR_WATCH_STILL_MS = 200, OTR_WATCH_MISSING_MS = 2000 };

/* Watches the folders of all guests as they are now, in place of those before. */
void otr_source_watch_update(otr_guests *all);
void otr_source_watch_free(otr_source_watch *first); /* the whole list; NULL is fine */

#endif
