/* What an agent sends to a plane: the first byte says which report it is, the rest is its message.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plane/report.h"

#define A "3b0ceaf6-ca84-34be-80bb-502333546f3d"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static otr_plane_store *store;
static char folder[] = "/dev/shm/otr-fuzz-plane-XXXXXX";

static void put_away(void)
{
    static const char *const names[] = { "plane.db", "history.db" };
    otr_plane_store_close(store);
    store = NULL;
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        char path[80];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    (void)remove(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const otr_plane_from from = { .uuid = "", .peer = "fuzz", .subject = "", .now_ms = 1 };
    char id[OTR_PLANE_ID_BYTES] = A;
    otr_err err = { 0 };
    if (size == 0 || (store == NULL && (mkdtemp(folder) == NULL ||
                                        otr_plane_store_open(folder, &store, &err) != OTR_OK ||
                                        atexit(put_away) != 0))) {
        return 0;
    }
    const otr_bytes message = { data + 1, size - 1 };
    otr_code rc = OTR_OK;
    switch (data[0] % 4) {
    case 0:
        rc = otr_plane_take_connection(store, &from, message, id, &err);
        break;
    case 1:
        rc = otr_plane_take_status(store, &from, A, message, &err);
        break;
    case 2:
        rc = otr_plane_take_health(store, &from, A, message, &err);
        break;
    default:
        rc = otr_plane_take_overview(store, &from, A, message, &err);
        break;
    }
    char same[OTR_PLANE_ID_BYTES];
    if (!otr_plane_id(id, same) || (rc != OTR_OK && err.msg[0] == '\0') || rc == OTR_EIO) {
        abort(); /* our own failure, or one without a reason */
    }
    return 0;
}
