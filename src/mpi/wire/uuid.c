#include <sodium.h>

#include "mpi/wire/wire.h"

static bool uuid_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

const char *otr_mpi_uuid_new(char out[OTR_MPI_UUID_BYTES])
{
    uint8_t b[16];
    randombytes_buf(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    char *to = out;
    for (size_t i = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *to++ = '-';
        }
        *to++ = "0123456789abcdef"[b[i] >> 4];
        *to++ = "0123456789abcdef"[b[i] & 15];
    }
    *to = '\0';
    return out;
}

bool otr_mpi_uuid_ok(const char *text)
{
    size_t i = 0;
    for (; i < OTR_MPI_UUID_BYTES - 1 && text[i] != '\0'; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !uuid_hex(text[i])) {
            return false;
        }
    }
    return i == OTR_MPI_UUID_BYTES - 1 && text[i] == '\0';
}
