/*
 * Paths as texts: nothing here looks at a file system.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_PATH_H
#define OTR_BASE_PATH_H

#include "base/base.h"

/* Takes empty and "." parts and the last '/' out of an absolute path, in place; ".." stays, as what
 * it means depends on links. What is left is at least "/". Returns its length. */
size_t otr_path_clean(char *path);

#endif
