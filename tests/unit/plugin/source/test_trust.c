#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/limits.h"
#include "plugin/source/trust.h"
#include "support/test.h"
#include "unit/plugin/manifest/signed_texts.h"

typedef struct folder {
    char path[64];
    char sig[96];
    char key[96];
} folder;

static void put(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;
    CHECK_INT(n, (ssize_t)strlen(text));
    if (fd >= 0) {
        close(fd);
    }
}

static bool folder_make(folder *f)
{
    (void)snprintf(f->path, sizeof(f->path), "/tmp/otr-trust-XXXXXX");
    if (mkdtemp(f->path) == NULL) {
        return false;
    }
    (void)snprintf(f->sig, sizeof(f->sig), "%s/a.wasm.minisig", f->path);
    (void)snprintf(f->key, sizeof(f->key), "%s/a.pub", f->path);
    return true;
}

static void folder_drop(folder *f)
{
    unlink(f->sig);
    unlink(f->key);
    rmdir(f->path);
}

/* All that `m` demands of a file. */
static otr_code check(const otr_manifest *m, otr_bytes wasm, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_PLUGIN_SIG_BYTES);
    otr_code rc = otr_trust_digest(m, m->source, m->sha256, wasm, err);
    if (rc == OTR_OK && m->signed_needed) {
        rc = otr_buf_read_file(&text, m->signature, err);
        rc = rc == OTR_OK ? otr_trust_signature(m, m->signature, otr_buf_bytes(&text), wasm, err)
                          : rc;
    }
    otr_buf_deinit(&text);
    return rc;
}

#define FOLDER                                          \
    OTR_CLEANUP(folder_drop) folder f = { .path = "" }; \
    otr_err err = { 0 };                                \
    REQUIRE(folder_make(&f));                           \
    char *keys[] = { f.key, NULL };                     \
    otr_manifest m = { .source = "/x/a.wasm",           \
                       .where = "x.yaml:3:7",           \
                       .signature = f.sig,              \
                       .trust_keys = keys,              \
                       .signed_needed = true }

T(a_wrong_digest_is_refused_and_both_are_shown)
{
    FOLDER;
    char sha256[] = "00000000000000000000000000000000000000000000000000000000000000aa";
    m.sha256 = sha256;
    m.signed_needed = false;
    CHECK_INT(check(&m, plugin, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "aa");
    CHECK_HAS(err.msg, "x.yaml:3:7");
}

T(a_missing_signature_names_the_file_and_the_line)
{
    FOLDER;
    CHECK_INT(check(&m, plugin, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "a.wasm.minisig");
}

T(a_revoked_key_is_refused_though_it_is_listed)
{
    FOLDER;
    put(f.sig, FILE_ED);
    put(f.key, KEY_A "\n");
    char id[] = "8AFB1E4C478C45C9";
    char *revoked[] = { id, NULL };
    REQUIRE_OK(check(&m, plugin, &err), err);
    m.revoked = revoked;
    CHECK_INT(check(&m, plugin, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "8afb1e4c478c45c9");
    CHECK_HAS(err.msg, "revoked");
}

T(a_revoked_id_may_have_zeros_in_front_or_lack_them)
{
    FOLDER;
    char other[] = "AFB1E4C478C45C9", same[] = "8AFB1E4C478C45C9";
    char *revoked[] = { other, NULL };
    put(f.sig, FILE_ED);
    put(f.key, KEY_A "\n");
    m.revoked = revoked;
    REQUIRE_OK(check(&m, plugin, &err), err); /* 0AFB…: another key */
    revoked[0] = same;
    CHECK_INT(check(&m, plugin, &err), OTR_EDENIED);
}

T(a_revoked_file_is_refused_though_it_is_signed_and_pinned)
{
    FOLDER;
    char sha256[OTR_SHA256_HEX_BYTES];
    char *revoked[] = { sha256, NULL };
    put(f.sig, FILE_ED);
    put(f.key, KEY_A "\n");
    (void)otr_sha256_hex(plugin, sha256);
    m.sha256 = sha256;
    m.revoked = revoked;
    CHECK_INT(check(&m, plugin, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "revoked");
}

T(a_key_that_is_not_listed_is_named)
{
    FOLDER;
    put(f.sig, FILE_ED);
    put(f.key, KEY_B "\n");
    CHECK_INT(check(&m, plugin, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "8afb1e4c478c45c9");
    CHECK_HAS(err.msg, "x.yaml:3:7");
}

T(an_unreadable_key_file_is_an_error_of_its_own)
{
    FOLDER;
    put(f.sig, FILE_ED);
    CHECK_INT(check(&m, plugin, &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "a.pub");
    put(f.key, "hello\n");
    CHECK_INT(check(&m, plugin, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "plugins.trust.keys");
}

T(a_signed_plugin_is_accepted_by_key_file_and_by_key)
{
    FOLDER;
    put(f.sig, FILE_PREHASHED);
    put(f.key, "untrusted comment: a\n" KEY_A "\n");
    REQUIRE_OK(check(&m, plugin, &err), err);
    char b[] = KEY_B, a[] = KEY_A;
    char *both[] = { b, a, NULL };
    m.trust_keys = both;
    REQUIRE_OK(check(&m, plugin, &err), err);
}

/* ---- against the program itself ---- */

extern char **environ;

static int run(char *const argv[])
{
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_t quiet;
    if (posix_spawn_file_actions_init(&quiet) != 0) {
        return -1;
    }
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&quiet);
    return rc == 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* No failing allocation: the work is another program's. */
T_NO_OOM(what_minisign_signs_today_is_accepted)
{
    FOLDER;
    char version[] = "-v", sign[] = "-S", legacy[] = "-l", make[] = "-G", bare[] = "-W";
    char program[] = "minisign", secret[96], file[96];
    char s[] = "-s", p[] = "-p", mm[] = "-m", x[] = "-x";
    (void)snprintf(secret, sizeof(secret), "%s/a.key", f.path);
    (void)snprintf(file, sizeof(file), "%s/a.wasm", f.path);
    if (run((char *[]){ program, version, NULL }) != 0) {
        otr_test_skip("there is no program minisign");
        return;
    }
    REQUIRE(run((char *[]){ program, make, bare, p, f.key, s, secret, NULL }) == 0);
    put(file, "some wasm");
    REQUIRE(run((char *[]){ program, sign, s, secret, mm, file, x, f.sig, NULL }) == 0);
    CHECK_INT(check(&m, otr_bytes_of("some wasm"), &err), OTR_OK);
    CHECK_INT(check(&m, otr_bytes_of("some wasp"), &err), OTR_EDENIED);
    REQUIRE(run((char *[]){ program, sign, legacy, s, secret, mm, file, x, f.sig, NULL }) == 0);
    CHECK_INT(check(&m, otr_bytes_of("some wasm"), &err), OTR_OK);
    unlink(secret);
    unlink(file);
}
