#include <sys/wait.h>

#include "base/limits.h"
#include "nginx/change/sources.h"
#include "unit/nginx/change/scene.h"

static void changes_freep(otr_changes **set)
{
    otr_changes_free(*set);
}

static void tar_freep(otr_tar **tar)
{
    otr_tar_free(*tar);
}

#define MORE(name)                                       \
    OTR_CLEANUP(changes_freep) otr_changes *name = NULL; \
    REQUIRE_OK(otr_changes_new("/tmp", &(name), &err), err)
#define SET(name)        \
    otr_err err = { 0 }; \
    MORE(name)

static const otr_change_source at_conf = { "/conf", OTR_CHANGE_SOURCE_CONTENT };
static const otr_change_source with_owner = { "/conf", OTR_CHANGE_SOURCE_OWNER };

/* ---- sets ---- */

static void refuse(const char *path, const char *why)
{
    SET(set);
    const otr_change_attributes keep = OTR_CHANGE_KEEP_ALL;
    CHECK(otr_changes_put(set, path, &keep, otr_bytes_of("x"), &err) != OTR_OK);
    CHECK_HAS(err.msg, why);
    CHECK(otr_changes_delete(set, path, &err) != OTR_OK);
}

T(paths_that_are_none_are_refused)
{
    refuse("etc/nginx.conf", "absolute");
    refuse("/etc/../shadow", "without empty parts");
    refuse("/etc//x", "without empty parts");
    refuse("/etc/x/", "without empty parts");
    refuse("/", "without empty parts");
    refuse("/etc/./x", "without empty parts");
    refuse("/etc/.outrider-kept-1", "the agent's own");
    refuse("/etc/a\nb", "control characters");
}

T(a_set_keeps_contents_and_digests)
{
    SET(set);
    otr_change_attributes how = OTR_CHANGE_KEEP_ALL;
    REQUIRE_OK(otr_changes_put(set, "/b", &how, otr_bytes_of("abc"), &err), err);
    how.mode = 0600;
    REQUIRE_OK(otr_changes_put(set, "/a", &how, otr_bytes_of(""), &err), err);
    REQUIRE_OK(otr_changes_delete(set, "/c/d", &err), err);
    REQUIRE_OK(otr_changes_done(set, &err), err);
    REQUIRE(otr_changes_count(set) == 3);
    CHECK_STR(otr_changes_at(set, 0)->path, "/a");
    CHECK_INT(otr_changes_at(set, 0)->attributes.mode, 0600);
    const otr_change_file *b = otr_changes_find(set, "/b");
    REQUIRE(b != NULL);
    CHECK_STR(b->digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, 100);
    REQUIRE_OK(otr_changes_read(set, b, &text, &err), err);
    CHECK_STR(otr_buf_text(&text), "abc");
    CHECK(otr_changes_find(set, "/d") == NULL);
    CHECK_INT(otr_changes_put(set, "/e", &how, otr_bytes_of("x"), &err), OTR_ESTATE);
}

T(a_path_has_one_fate)
{
    SET(set);
    const otr_change_attributes how = OTR_CHANGE_KEEP_ALL;
    REQUIRE_OK(otr_changes_put(set, "/a", &how, otr_bytes_of("x"), &err), err);
    REQUIRE_OK(otr_changes_delete(set, "/a", &err), err);
    CHECK_INT(otr_changes_done(set, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "/a is named twice");
    MORE(other);
    REQUIRE_OK(otr_changes_put(other, "/a", &how, otr_bytes_of("x"), &err), err);
    REQUIRE_OK(otr_changes_put(other, "/a/b/c", &how, otr_bytes_of("x"), &err), err);
    CHECK_INT(otr_changes_done(other, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "/a/b/c cannot lie in /a");
}

T(what_was_announced_has_to_come)
{
    const otr_change_attributes how = OTR_CHANGE_KEEP_ALL;
    SET(set);
    REQUIRE_OK(otr_changes_begin(set, "/a", &how, 3, &err), err);
    REQUIRE_OK(otr_changes_write(set, otr_bytes_of("ab"), &err), err);
    CHECK_INT(otr_changes_end(set, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "has 2 bytes, not the 3");
    CHECK_INT(otr_changes_write(set, otr_bytes_of("cd"), &err), OTR_EINVAL);
    CHECK_INT(otr_changes_delete(set, "/b", &err), OTR_ESTATE);
}

/* At the limit and above it; nothing of what is too much is kept. */
T_NO_OOM(limits_are_told_before_anything_is_kept) /* tens of thousands of files */
{
    const otr_change_attributes how = OTR_CHANGE_KEEP_ALL;
    SET(set);
    REQUIRE_OK(otr_changes_begin(set, "/a", &how, OTR_LIMIT_CHANGE_FILE_BYTES, &err), err);
    MORE(big);
    CHECK_INT(otr_changes_begin(big, "/big", &how, 500ULL << 20, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "/big: a file of a change has at most 64 MiB");
    CHECK_INT(otr_changes_bytes(big), 0);
    MORE(many);
    otr_code rc = OTR_OK;
    char path[32];
    int n = 0;
    for (; rc == OTR_OK && n < 100000; n++) {
        snprintf(path, sizeof(path), "/d/%d", n);
        rc = otr_changes_put(many, path, &how, otr_bytes_of("x"), &err);
    }
    CHECK_INT(rc, OTR_EQUOTA);
    CHECK_INT(n, OTR_LIMIT_CHANGE_FILES + 1);
    CHECK_HAS(err.msg, "at most 10000 files");
    CHECK_INT(otr_changes_bytes(many), OTR_LIMIT_CHANGE_FILES);
}

T_NO_OOM(all_files_together_have_a_limit) /* 256 MiB of zeros, in memory or a sparse disk */
{
    const otr_change_attributes how = OTR_CHANGE_KEEP_ALL;
    SET(set);
    static uint8_t piece[1 << 20];
    otr_code rc = OTR_OK;
    for (int i = 0; rc == OTR_OK && i < 4; i++) {
        char path[16];
        snprintf(path, sizeof(path), "/%d", i);
        rc = otr_changes_begin(set, path, &how, 63 << 20, &err);
        for (int j = 0; rc == OTR_OK && j < 63; j++) {
            rc = otr_changes_write(set, (otr_bytes){ piece, sizeof(piece) }, &err);
        }
        rc = rc == OTR_OK ? otr_changes_end(set, &err) : rc;
    }
    REQUIRE_OK(rc, err);
    CHECK_INT(otr_changes_begin(set, "/e", &how, 5 << 20, &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "all files of a change have at most 256 MiB together");
    REQUIRE_OK(otr_changes_begin(set, "/e", &how, OTR_CHANGE_SIZE_UNKNOWN, &err), err);
    for (int j = 0; rc == OTR_OK && j < 5; j++) {
        rc = otr_changes_write(set, (otr_bytes){ piece, sizeof(piece) }, &err);
    }
    CHECK_INT(rc, OTR_EQUOTA);
}

/* ---- folders ---- */

T(a_folder_is_read_whole_and_nothing_beside_it)
{
    OTR_CLEANUP(tree_deinit) tree t;
    SET(set);
    REQUIRE(tree_init(&t));
    REQUIRE(tree_write(&t, "in/nginx.conf", "main") && tree_write(&t, "in/a/b.conf", "b") &&
            tree_write(&t, "in/.git/config", "no") && tree_write(&t, "out/secret", "no"));
    REQUIRE(symlink("../../out/secret", tree_path(&t, "in/a/link")) == 0);
    REQUIRE_OK(otr_changes_add_folder(set, &at_conf, tree_path(&t, "in"), &err), err);
    REQUIRE_OK(otr_changes_done(set, &err), err);
    CHECK_INT(otr_changes_count(set), 3);
    REQUIRE(otr_changes_find(set, "/conf/a/b.conf") != NULL);
    CHECK_INT(otr_changes_find(set, "/conf/a/b.conf")->attributes.mode, OTR_CHANGE_KEEP);
    const otr_change_file *link = otr_changes_find(set, "/conf/a/link");
    REQUIRE(link != NULL && link->kind == OTR_CHANGE_LINK);
    CHECK_STR(link->link, "../../out/secret");
}

T(a_folder_with_a_fifo_is_refused)
{
    OTR_CLEANUP(tree_deinit) tree t;
    SET(set);
    REQUIRE(tree_init(&t));
    REQUIRE(mkfifo(tree_path(&t, "fifo"), 0644) == 0);
    CHECK_INT(otr_changes_add_folder(set, &at_conf, t.dir, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "/fifo is neither a regular file nor a folder");
}

T(a_file_too_large_is_refused_by_its_size)
{
    OTR_CLEANUP(tree_deinit) tree t;
    SET(set);
    REQUIRE(tree_init(&t) && tree_write(&t, "big", "") && tree_write(&t, "small", "text"));
    REQUIRE(chmod(tree_path(&t, "small"), 0640) == 0);
    REQUIRE(truncate(tree_path(&t, "big"), 500 << 20) == 0);
    CHECK_INT(otr_changes_add_file(set, &at_conf, tree_path(&t, "big"), "/conf/big", &err),
              OTR_EQUOTA);
    CHECK_INT(otr_changes_bytes(set), 0);
    REQUIRE_OK(otr_changes_add_file(set, &with_owner, tree_path(&t, "small"), "/conf/s", &err),
               err);
    REQUIRE_OK(otr_changes_done(set, &err), err);
    CHECK_INT(otr_changes_at(set, 0)->attributes.mode, 0640);
    CHECK_INT(otr_changes_at(set, 0)->attributes.uid, geteuid());
}

/* ---- tar ---- */

static void archive_deinit(otr_buf *a)
{
    otr_buf_deinit(a);
}

#define ARCHIVE(name)                         \
    OTR_CLEANUP(archive_deinit) otr_buf name; \
    otr_buf_init(&(name), 4 * OTR_MIB)

/* A header of our own making: `size` as it is to stand there. */
static otr_code add_header(otr_buf *a, char type, const char *name, const char *size, otr_err *err)
{
    uint8_t b[512] = { 0 };
    memcpy(b, name, strlen(name) < 100 ? strlen(name) : 100);
    memcpy(b + 100, "0000640", 7);
    memcpy(b + 108, "0000454", 7);
    memcpy(b + 116, "0000007", 7);
    memcpy(b + 124, size, strlen(size) < 12 ? strlen(size) : 12);
    memcpy(b + 148, "        ", 8);
    b[156] = (uint8_t)type;
    memcpy(b + 257,
           "ustar\0"
           "00",
           8);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(b); i++) {
        sum += b[i];
    }
    snprintf((char *)b + 148, 8, "%06o", sum);
    return otr_buf_add(a, (otr_bytes){ b, sizeof(b) }, err);
}

static otr_code add_data(otr_buf *a, const char *text, otr_err *err)
{
    static const uint8_t zeros[512];
    size_t n = strlen(text);
    otr_code rc = otr_buf_adds(a, text, err);
    return rc == OTR_OK && n % 512 != 0 ? otr_buf_add(a, (otr_bytes){ zeros, 512 - n % 512 }, err)
                                        : rc;
}

static otr_code add_end(otr_buf *a, otr_err *err)
{
    static const uint8_t zeros[1024];
    return otr_buf_add(a, (otr_bytes){ zeros, sizeof(zeros) }, err);
}

/* A name that fits no header stands in a pax one before it. */
static otr_code add_member(otr_buf *a, const char *name, const char *text, otr_err *err)
{
    char size[24], record[400];
    otr_code rc = OTR_OK;
    if (strlen(name) > 100) {
        snprintf(record, sizeof(record), "%zu path=%s\n", strlen(name) + 10, name);
        snprintf(size, sizeof(size), "%zo", strlen(record));
        rc = add_header(a, 'x', "pax", size, err);
        rc = rc == OTR_OK ? add_data(a, record, err) : rc;
    }
    snprintf(size, sizeof(size), "%zo", strlen(text));
    rc = rc == OTR_OK ? add_header(a, '0', name, size, err) : rc;
    return rc == OTR_OK ? add_data(a, text, err) : rc;
}

static otr_code read_in_pieces(otr_changes *set, const otr_change_source *how, otr_bytes bytes,
                               size_t piece, otr_err *err)
{
    OTR_CLEANUP(tar_freep) otr_tar *tar = NULL;
    otr_code rc = otr_tar_new(set, how, &tar, err);
    for (size_t at = 0; rc == OTR_OK && at < bytes.n; at += piece) {
        size_t n = bytes.n - at < piece ? bytes.n - at : piece;
        rc = otr_tar_feed(tar, (otr_bytes){ bytes.p + at, n }, err);
    }
    rc = rc == OTR_OK ? otr_tar_end(tar, err) : rc;
    return rc == OTR_OK ? otr_changes_done(set, err) : rc;
}

T(a_tar_is_read_in_pieces_of_any_size)
{
    ARCHIVE(a);
    otr_err e;
    char deep[300];
    memset(deep, 'x', sizeof(deep));
    deep[150] = '/';
    deep[290] = '\0';
    REQUIRE_OK(add_member(&a, "nginx.conf", "events {}\n", &e), e);
    REQUIRE_OK(add_member(&a, deep, "deep", &e), e);
    REQUIRE_OK(add_member(&a, "empty", "", &e), e);
    REQUIRE_OK(add_end(&a, &e), e);
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        SET(set);
        REQUIRE_OK(read_in_pieces(set, &with_owner, otr_buf_bytes(&a), piece, &err), err);
        REQUIRE(otr_changes_count(set) == 3);
        const otr_change_file *f = otr_changes_find(set, "/conf/nginx.conf");
        REQUIRE(f != NULL);
        CHECK_INT(f->size, 10);
        CHECK_INT(f->attributes.mode, 0640);
        CHECK_INT(f->attributes.uid, 300);
        CHECK_INT(f->attributes.gid, 7);
        char path[400];
        snprintf(path, sizeof(path), "/conf/%s", deep);
        CHECK(otr_changes_find(set, path) != NULL);
    }
}

T_NO_OOM(the_tar_of_this_machine_is_read) /* a child */
{
    static const char *const formats[] = { "ustar", "pax", "gnu", "v7", "oldgnu" };
    OTR_CLEANUP(tree_deinit) tree t;
    REQUIRE(tree_init(&t));
    char name[200] = "in/";
    memset(name + 3, 'n', 90);
    snprintf(name + 93, sizeof(name) - 93, "/file");
    REQUIRE(tree_write(&t, name, "long") && tree_write(&t, "in/b", "b"));
    REQUIRE(symlink("b", tree_path(&t, "in/link")) == 0);
    for (size_t i = 0; i < OTR_COUNT(formats); i++) {
        SET(set);
        char command[700];
        snprintf(command, sizeof(command), "tar -C %s/in -cf - --format=%s .", t.dir, formats[i]);
        FILE *f = popen(command, "r"); /* NOLINT: a command of ours */
        REQUIRE(f != NULL);
        otr_code rc = otr_changes_add_tar(set, &at_conf, fileno(f), &err);
        if (pclose(f) != 0) {
            otr_test_skip("there is no tar here");
            return;
        }
        REQUIRE_OK(rc, err);
        REQUIRE_OK(otr_changes_done(set, &err), err);
        CHECK_INT(otr_changes_count(set), 3);
        CHECK(otr_changes_find(set, "/conf/b") != NULL);
    }
}

static void refuse_tar(char type, const char *name, const char *size, const char *why)
{
    SET(set);
    ARCHIVE(a);
    REQUIRE_OK(add_header(&a, type, name, size, &err), err);
    REQUIRE_OK(add_end(&a, &err), err);
    CHECK(read_in_pieces(set, &at_conf, otr_buf_bytes(&a), 512, &err) != OTR_OK);
    CHECK_HAS(err.msg, why);
}

T_NO_OOM(a_hostile_tar_is_refused) /* its helpers check the message of one failure each */
{
    refuse_tar('0', "/etc/shadow", "0", "names have to be relative");
    refuse_tar('0', "../x", "0", "\"..\"");
    refuse_tar('0', "a/../../x", "0", "\"..\"");
    refuse_tar('0', "", "0", "names have to be relative");
    refuse_tar('1', "a", "0", "is a hard link");
    refuse_tar('3', "a", "0", "is a device");
    refuse_tar('4', "a", "0", "is a device");
    refuse_tar('6', "a", "0", "is a FIFO");
    refuse_tar('S', "a", "0", "is a sparse file");
    refuse_tar('M', "a", "0", "several volumes");
    refuse_tar('Z', "a", "0", "not known");
    refuse_tar('5', "a", "1000", "has data");
    refuse_tar('2', "a", "1000", "has data");
    refuse_tar('0', "a", "77777777777", "at most 64 MiB");
    refuse_tar('0', "a", "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "no valid size");
    refuse_tar('0', "a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "no valid size");
    refuse_tar('0', "a", "9", "no valid size");
    refuse_tar('0', "a", "\xc0", "no valid size"); /* in base 256 */
    refuse_tar('0', "a", "\x80\x01", "no valid size");
    refuse_tar('x', "a", "77777777", "name or header of");
    refuse_tar('L', "a", "77777777", "name or header of");
    refuse_tar('0', "a", "100000", "cut short");
    refuse_tar('0', "a\nb", "0", "control characters");
    refuse_tar('0', ".outrider-x", "0", "the agent's own");
}

static void refuse_bytes(const char *bytes, size_t n, const char *why)
{
    SET(set);
    CHECK(read_in_pieces(set, &at_conf, (otr_bytes){ (const uint8_t *)bytes, n }, 512, &err) !=
          OTR_OK);
    CHECK_HAS(err.msg, why);
}

T_NO_OOM(what_is_no_tar_is_told) /* as above */
{
    char block[1024] = "\x1f\x8b\x08";
    refuse_bytes(block, sizeof(block), "compressed by gzip");
    memcpy(block, "server", 6);
    refuse_bytes(block, sizeof(block), "this is no tar archive");
    refuse_bytes(block, 0, "this is no tar archive");
}

static void refuse_pax(const char *record, char type, const char *why)
{
    SET(set);
    ARCHIVE(a);
    char size[24];
    snprintf(size, sizeof(size), "%zo", strlen(record));
    REQUIRE_OK(add_header(&a, type, "pax", size, &err), err);
    REQUIRE_OK(add_data(&a, record, &err), err);
    REQUIRE_OK(add_header(&a, '0', "name", "0", &err), err);
    REQUIRE_OK(add_end(&a, &err), err);
    otr_code rc = read_in_pieces(set, &at_conf, otr_buf_bytes(&a), 100, &err);
    CHECK(why == NULL ? rc == OTR_OK : rc != OTR_OK);
    if (why != NULL) {
        CHECK_HAS(err.msg, why);
    }
}

T_NO_OOM(hostile_pax_headers_are_refused) /* as above */
{
    refuse_pax("13 path=/etc\n", 'x', "relative");
    refuse_pax("14 path=../../\n", 'x', "cannot be read");
    refuse_pax("14 path=../..\n", 'x', "\"..\"");
    refuse_pax("99 path=a\n", 'x', "cannot be read");
    refuse_pax("path=a\n", 'x', "cannot be read");
    refuse_pax("0 path=a\n", 'x', "cannot be read");
    refuse_pax("22 GNU.sparse.major=1\n", 'x', "sparse");
    refuse_pax("15 size=100000\n", 'x', "cut short");
    refuse_pax("10 size=x\n", 'x', "cannot be read");
    refuse_pax("10 path=a\n", 'g', "global pax header");
    refuse_pax("13 comment=x\n", 'g', NULL);
    refuse_pax("10 path=a\n", 'x', NULL);
}

T(a_tar_without_its_end_is_cut_short)
{
    ARCHIVE(a);
    SET(set);
    REQUIRE_OK(add_member(&a, "a", "text", &err), err);
    CHECK_INT(read_in_pieces(set, &at_conf, otr_buf_bytes(&a), 512, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "cut short");
}
