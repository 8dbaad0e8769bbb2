/*
 * What foreign programs answer or hold: stub_status, the texts of an executable and the executable
 * itself, the title of a process, a status URL.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "net/http/client.h"
#include "nginx/instance/binary.h"
#include "nginx/instance/discovery.h"
#include "nginx/status/stub_status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_title(const char *text)
{
    otr_master m = { 0 };
    char *argv0 = NULL;
    if (otr_master_parse_title(text, &m, &argv0, NULL) != OTR_OK) {
        abort();
    }
    otr_free(argv0);
    otr_master_deinit(&m);
    (void)otr_title_kind(otr_title_inside(text));
}

static void read_executable(const uint8_t *data, size_t size)
{
    bool is_nginx;
    otr_binary binary;
    int fd = memfd_create("executable", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    if (otr_binary_read(fd, size, &is_nginx, &binary, NULL) == OTR_OK && is_nginx) {
        otr_binary_deinit(&binary);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_executable(data, size);
    otr_bytes bytes = { data, size };
    otr_stub_status status;
    (void)!otr_stub_status_parse(bytes, &status, NULL);
    otr_binary binary;
    if (otr_binary_parse(bytes, &binary, NULL) == OTR_OK) {
        otr_binary_deinit(&binary);
    }
    char *text = otr_strndup((const char *)data, size);
    if (text == NULL) {
        abort();
    }
    parse_title(text);
    otr_http_url url;
    if (otr_http_url_parse(text, &url, NULL) == OTR_OK) {
        otr_http_url_deinit(&url);
    }
    otr_free(text);
    return 0;
}
