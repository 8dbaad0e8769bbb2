/* Sources without a server; tests/scenario/test_sources.py has one. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "plugin/source/fetch.h"
#include "plugin/source/source.h"
#include "support/test.h"
#include "wasm/engine/codecache.h"

/* Nobody listens there. */
#define URL "https://127.0.0.1:1/p.wasm"

/* Made with minisign 0.11, of "\0asm test plugin bytes". */
#define KEY "RWTJRYxHTB77iu5N7cLmzML0QFrXwBei04chTGGwI7hr7c3WOP5PLTcm"
#define SIG                                                                \
    "untrusted comment: signature from minisign secret key\n"              \
    "RUTJRYxHTB77itqoqx4yheM6TPbzn3E9yl8N+vmj+411sQfhbk01oNWDCdR21qXVL17O" \
    "B8nnUIJ8FlGvTvm975h86KTrcvHfHgk=\n"                                   \
    "trusted comment: release 1.0 of plugin\n"                             \
    "SwaFNABIdzHXFVRfs4TaNKaKCUTQv8VfAgo7VSTzoKAvNt9KQLG2Pi6sfFZxCA/"      \
    "T5xZTA/WCRqgWcCXgzV4kDA==\n"

static const otr_bytes plugin = { (const uint8_t *)"\0asm test plugin bytes", 22 };

/* ---- the record of a download ---- */

T(a_record_is_unpacked_as_it_was_packed)
{
    otr_err err = { 0 };
    otr_download d = { otr_bytes_of("\"e\""), otr_bytes_of("sig"), otr_bytes_of("wasm") }, seen;
    otr_buf out;
    otr_buf_init(&out, 4096);
    otr_code rc = otr_download_pack(&d, &out, &err);
    if (rc == OTR_OK) {
        CHECK(otr_download_unpack(otr_buf_bytes(&out), &seen));
        CHECK(seen.etag.n == 3 && seen.signature.n == 3 && seen.file.n == 4);
        CHECK(memcmp(seen.file.p, "wasm", 4) == 0);
        for (size_t n = 0; n < 14; n++) { /* in the middle of the two first fields */
            CHECK(!otr_download_unpack((otr_bytes){ out.p, n }, &seen));
        }
    }
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
}

T(the_fields_of_a_record_have_a_longest_length)
{
    static const struct {
        size_t etag, signature;
        bool fine;
    } all[] = { { OTR_ETAG_BYTES - 1, OTR_LIMIT_PLUGIN_SIG_BYTES, true },
                { OTR_ETAG_BYTES, 0, false },
                { 0, OTR_LIMIT_PLUGIN_SIG_BYTES + 1, false } };
    static uint8_t bytes[OTR_ETAG_BYTES + OTR_LIMIT_PLUGIN_SIG_BYTES];
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        OTR_CLEANUP(otr_buf_deinit) otr_buf out;
        otr_err err = { 0 };
        otr_download d = { { bytes, all[i].etag }, { bytes, all[i].signature }, { bytes, 1 } },
                     seen;
        otr_buf_init(&out, 1 << 20);
        REQUIRE_OK(otr_download_pack(&d, &out, &err), err);
        CHECK(otr_download_unpack(otr_buf_bytes(&out), &seen) == all[i].fine);
    }
}

T(a_record_with_a_wild_length_is_refused)
{
    static const uint8_t wild[] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
    otr_download seen;
    CHECK(!otr_download_unpack((otr_bytes){ wild, sizeof(wild) }, &seen));
    CHECK(!otr_download_unpack((otr_bytes){ NULL, 0 }, &seen));
}

/* ---- reading ---- */

typedef struct fixture {
    char folder[32], sha256[OTR_SHA256_HEX_BYTES], location[64], key[64], sig[64];
    char *keys[2];
    otr_manifest m;
    otr_buf out;
    otr_source_info info;
} fixture;

static void teardown(fixture *f)
{
    char command[128];
    otr_buf_deinit(&f->out);
    (void)snprintf(command, sizeof(command), "%s/q.wasm", f->folder);
    (void)unlink(command);
    otr_codecache *c;
    if (f->folder[0] != '\0' && chmod(f->folder, 0700) == 0 &&
        otr_codecache_open(f->folder, 1, &c, NULL) == OTR_OK) {
        char name[160], digest[OTR_SHA256_HEX_BYTES];
        (void)snprintf(name, sizeof(name), "%s/%s.code", f->folder,
                       otr_sha256_hex(otr_bytes_of(f->location), digest));
        (void)unlink(name);
        otr_codecache_close(c);
    }
    (void)rmdir(f->folder);
}

static bool setup(fixture *f)
{
    otr_log_set_level(OTR_LOG_ERROR);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/otr-source-XXXXXX");
    (void)snprintf(f->location, sizeof(f->location), URL);
    (void)snprintf(f->sig, sizeof(f->sig), URL ".minisig");
    (void)snprintf(f->key, sizeof(f->key), KEY);
    f->keys[0] = f->key;
    (void)otr_sha256_hex(plugin, f->sha256);
    f->m = (otr_manifest){ .name = f->location,
                           .source = f->location,
                           .signature = f->sig,
                           .where = "x.yaml:3:7",
                           .trust_keys = f->keys,
                           .downloads = f->folder,
                           .fetch_ns = UINT64_C(5000000000) };
    otr_buf_init(&f->out, OTR_LIMIT_PLUGIN_FILE_BYTES);
    return mkdtemp(f->folder) != NULL;
}

#define FIXTURE                                         \
    OTR_CLEANUP(teardown) fixture f = { .folder = "" }; \
    otr_err err = { 0 };                                \
    REQUIRE(setup(&f))

static otr_code keep(fixture *f, otr_bytes file, const char *signature, otr_err *err)
{
    char key[OTR_SHA256_HEX_BYTES];
    otr_codecache *c;
    otr_buf text;
    otr_download d = { { NULL, 0 }, otr_bytes_of(signature), file };
    otr_buf_init(&text, 65536);
    otr_code rc = otr_download_pack(&d, &text, err);
    rc = rc == OTR_OK ? otr_codecache_open(f->folder, 1 << 20, &c, err) : rc;
    if (rc == OTR_OK) {
        rc = otr_codecache_put(c, otr_sha256_hex(otr_bytes_of(f->location), key),
                               otr_buf_bytes(&text), err);
        otr_codecache_close(c);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code read_it(fixture *f, otr_err *err)
{
    otr_source s = otr_source_of(&f->m);
    otr_buf_clear(&f->out);
    return otr_source_read(&s, &f->out, &f->info, err);
}

T(a_url_without_digest_and_signature_is_refused)
{
    FIXTURE;
    CHECK_INT(read_it(&f, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "neither a digest nor a signature");
    CHECK(!f.info.unreached);
}

/* No failing allocation from here on: libcurl's would be hit, too, and its answer differs. */
T_NO_OOM(a_server_that_is_down_is_told_apart_from_a_refusal)
{
    FIXTURE;
    f.m.sha256 = f.sha256;
    CHECK_INT(read_it(&f, &err), OTR_EIO);
    CHECK(f.info.unreached);
    CHECK_INT(f.out.n, 0);
}

T_NO_OOM(a_kept_file_with_the_pinned_digest_needs_no_server)
{
    FIXTURE;
    f.m.sha256 = f.sha256;
    REQUIRE_OK(keep(&f, plugin, "", &err), err);
    REQUIRE_OK(read_it(&f, &err), err);
    CHECK_INT(f.out.n, plugin.n);
    CHECK(memcmp(f.out.p, plugin.p, plugin.n) == 0);
    CHECK(!f.info.unreached);
}

T_NO_OOM(a_kept_file_with_the_pinned_digest_asks_no_server)
{
    FIXTURE;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0 && listen(fd, 1) == 0 &&
            getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    (void)snprintf(f.location, sizeof(f.location), "https://127.0.0.1:%u/p.wasm",
                   ntohs(at.sin_port));
    f.m.fetch_ns = UINT64_C(200000000);
    f.m.sha256 = f.sha256;
    otr_code kept = keep(&f, plugin, "", &err);
    otr_code rc = kept == OTR_OK ? read_it(&f, &err) : kept;
    int asked = accept(fd, NULL, NULL);
    close(fd);
    REQUIRE_OK(rc, err);
    CHECK_INT(asked, -1);
}

T_NO_OOM(a_kept_file_with_another_digest_is_not_used)
{
    FIXTURE;
    f.m.sha256 = f.sha256;
    REQUIRE_OK(keep(&f, otr_bytes_of("something else"), "", &err), err);
    CHECK_INT(read_it(&f, &err), OTR_EIO);
    CHECK(f.info.unreached);
}

T_NO_OOM(a_kept_file_with_a_good_signature_serves_while_the_server_is_down)
{
    FIXTURE;
    f.m.signed_needed = true;
    REQUIRE_OK(keep(&f, plugin, SIG, &err), err);
    REQUIRE_OK(read_it(&f, &err), err);
    CHECK_INT(f.out.n, plugin.n);
}

T_NO_OOM(a_kept_file_whose_key_was_revoked_is_not_used)
{
    FIXTURE;
    char id[] = "8afb1e4c478c45c9";
    char *revoked[] = { id, NULL };
    f.m.signed_needed = true;
    f.m.revoked = revoked;
    REQUIRE_OK(keep(&f, plugin, SIG, &err), err);
    CHECK_INT(read_it(&f, &err), OTR_EIO);
}

T_NO_OOM(a_kept_file_that_was_cut_short_is_not_used)
{
    FIXTURE;
    char name[160], key[OTR_SHA256_HEX_BYTES];
    f.m.sha256 = f.sha256;
    REQUIRE_OK(keep(&f, plugin, "", &err), err);
    (void)snprintf(name, sizeof(name), "%s/%s.code", f.folder,
                   otr_sha256_hex(otr_bytes_of(URL), key));
    REQUIRE(truncate(name, 160) == 0);
    CHECK_INT(read_it(&f, &err), OTR_EIO);
}

T_NO_OOM(a_folder_that_others_can_write_is_not_used)
{
    FIXTURE;
    f.m.sha256 = f.sha256;
    REQUIRE_OK(keep(&f, plugin, "", &err), err);
    REQUIRE(chmod(f.folder, 0777) == 0);
    CHECK_INT(read_it(&f, &err), OTR_EIO);
}

T(a_file_is_checked_like_a_download)
{
    FIXTURE;
    (void)snprintf(f.location, sizeof(f.location), "%s/q.wasm", f.folder);
    int fd = open(f.location, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && write(fd, plugin.p, plugin.n) == (ssize_t)plugin.n && close(fd) == 0);
    f.m.sha256 = f.sha256;
    REQUIRE_OK(read_it(&f, &err), err);
    CHECK_INT(f.out.n, plugin.n);
    CHECK_INT(f.info.file.st_size, plugin.n);
    f.sha256[0] = f.sha256[0] == 'a' ? 'b' : 'a';
    CHECK_INT(read_it(&f, &err), OTR_EDENIED);
    CHECK_INT(f.out.n, 0);
    CHECK_HAS(err.msg, "x.yaml:3:7");
}
