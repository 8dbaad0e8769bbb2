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
#include "plugin/manifest/minisign.h"
#include "plugin/source/trust.h"
#include "support/test.h"

/* Made with minisign 0.11. */
#define PLUGIN "\0asm test plugin bytes"
#define KEY_A  "RWTJRYxHTB77iu5N7cLmzML0QFrXwBei04chTGGwI7hr7c3WOP5PLTcm"
#define KEY_B  "RWRYefmX3xl0ujp5eROUj9KffPX6Zqj3SIbdNnF7Ulo38xYaTMU0GMU4"
#define HEAD   "untrusted comment: signature from minisign secret key\n"
#define SIG_ED                                                             \
    "RWTJRYxHTB77in7huOjeEVnlpsZ1cnZ8TVQJQWOUdqIxiLLaCtDQNLSRcovSTXl5CLOi" \
    "W+c+i5mQ1XgS8lyxCCyzP2bP2GLrNw0=\n"
#define GLOBAL_ED \
    "ApRQnr4xebuDOMAko20x4cMyZTAj1PPXbssWNA7bUziXowjYOqwCrB0MKgmXGqagnnDfcS1ZfiEwx8j/ai4GAg==\n"
#define SIG_PREHASHED                                                      \
    "RUTJRYxHTB77itqoqx4yheM6TPbzn3E9yl8N+vmj+411sQfhbk01oNWDCdR21qXVL17O" \
    "B8nnUIJ8FlGvTvm975h86KTrcvHfHgk=\n"
#define GLOBAL_PREHASHED \
    "SwaFNABIdzHXFVRfs4TaNKaKCUTQv8VfAgo7VSTzoKAvNt9KQLG2Pi6sfFZxCA/T5xZTA/WCRqgWcCXgzV4kDA==\n"
#define FILE_ED HEAD SIG_ED "trusted comment: legacy\n" GLOBAL_ED
#define FILE_PREHASHED \
    HEAD SIG_PREHASHED "trusted comment: release 1.0 of plugin\n" GLOBAL_PREHASHED

static const otr_bytes plugin = { (const uint8_t *)PLUGIN, sizeof(PLUGIN) - 1 };

/* ---- the format ---- */

static otr_code verify(const char *key_text, const char *sig_text, otr_bytes data, otr_err *err)
{
    otr_minisign_key key;
    otr_minisign_sig sig;
    otr_code rc = otr_minisign_read_key(otr_bytes_of(key_text), &key, err);
    rc = rc == OTR_OK ? otr_minisign_read_sig(otr_bytes_of(sig_text), &sig, err) : rc;
    return rc == OTR_OK ? otr_minisign_verify(&key, &sig, data, err) : rc;
}

static void refused(const char *key, const char *sig, otr_bytes data, const char *part)
{
    otr_err err = { 0 };
    CHECK(verify(key, sig, data, &err) != OTR_OK);
    CHECK_HAS(err.msg, part);
}

T(what_is_no_key_is_refused)
{
    refused("", FILE_ED, plugin, "not a minisign public key");
    refused("RWTJ", FILE_ED, plugin, "not a minisign public key");
    refused(KEY_A KEY_A, FILE_ED, plugin, "not a minisign public key");
    refused(KEY_A "\nmore", FILE_ED, plugin, "not a minisign public key");
    refused("QUJJRYxHTB77iu5N7cLmzML0QFrXwBei04chTGGwI7hr7c3WOP5PLTcm", FILE_ED, plugin,
            "unknown kind");
}

T(what_is_no_signature_is_refused_with_its_line)
{
    refused(KEY_A, "", plugin, "line 1");
    refused(KEY_A, SIG_ED HEAD, plugin, "line 1");
    refused(KEY_A, HEAD, plugin, "line 2");
    refused(KEY_A, HEAD "AAAA\n", plugin, "line 2");
    refused(KEY_A, HEAD "QUJ" SIG_ED, plugin, "line 2");
    refused(KEY_A, HEAD SIG_ED, plugin, "line 3");
    refused(KEY_A, HEAD SIG_ED "comment: legacy\n" GLOBAL_ED, plugin, "line 3");
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacy\n", plugin, "line 4");
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacy\n" SIG_ED, plugin, "line 4");
    refused(KEY_A, FILE_ED "x", plugin, "line 4");
}

T(changed_bytes_are_refused_for_both_kinds)
{
    static const uint8_t other[] = "\0asm test plugin bytez";
    otr_bytes data = { other, sizeof(other) - 1 };
    refused(KEY_A, FILE_ED, data, "not the one that was signed");
    refused(KEY_A, FILE_PREHASHED, data, "not the one that was signed");
    refused(KEY_A, FILE_PREHASHED, (otr_bytes){ NULL, 0 }, "not the one that was signed");
}

T(a_changed_trusted_comment_is_refused)
{
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacz\n" GLOBAL_ED, plugin, "trusted comment");
    refused(KEY_A, HEAD SIG_ED "trusted comment: \n" GLOBAL_ED, plugin, "trusted comment");
    refused(KEY_A, HEAD SIG_ED "trusted comment: legacy\n" GLOBAL_PREHASHED, plugin,
            "trusted comment");
}

T(a_signature_by_another_key_is_refused)
{
    refused(KEY_B, FILE_ED, plugin, "another key");
}

T(a_key_with_the_id_of_another_is_no_help)
{
    otr_minisign_key a, b;
    otr_minisign_sig sig;
    otr_err err = { 0 };
    REQUIRE_OK(otr_minisign_read_key(otr_bytes_of(KEY_A), &a, &err), err);
    REQUIRE_OK(otr_minisign_read_key(otr_bytes_of(KEY_B), &b, &err), err);
    REQUIRE_OK(otr_minisign_read_sig(otr_bytes_of(FILE_PREHASHED), &sig, &err), err);
    memcpy(b.id, a.id, sizeof(b.id));
    CHECK_INT(otr_minisign_verify(&b, &sig, plugin, &err), OTR_EDENIED);
}

T(signatures_of_both_kinds_are_accepted)
{
    otr_err err = { 0 };
    REQUIRE_OK(verify(KEY_A, FILE_ED, plugin, &err), err);
    REQUIRE_OK(verify(KEY_A, FILE_PREHASHED, plugin, &err), err);
}

T(a_key_file_with_windows_line_breaks_is_a_key)
{
    otr_err err = { 0 };
    REQUIRE_OK(verify("untrusted comment: mine\r\n" KEY_A "\r\n", FILE_ED, plugin, &err), err);
}

/* ---- what a manifest demands ---- */

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
