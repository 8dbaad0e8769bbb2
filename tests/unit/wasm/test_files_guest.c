/* A guest of wasi-libc works in its folders, on every engine. */
#include "guest_files.h"
#include "unit/wasm/wasi_fixture.h"

typedef struct at_work {
    folders folders;
    guest_file file;
    otr_engine *engine;
} at_work;

static void at_work_deinit(at_work *w)
{
    guest_file_deinit(&w->file);
    close_engine(&w->engine);
    folders_deinit(&w->folders);
}

static otr_code start(at_work *w, otr_err *err)
{
    static const otr_host_ops ops = { .publish = guest_file_publish,
                                      .config = guest_file_config,
                                      .call = guest_file_call,
                                      .log = guest_file_log };
    static const char *const env[] = { "GRANTED=a value", NULL };
    char rw[96], ro[96];
    (void)snprintf(rw, sizeof(rw), "%s/rw", w->folders.root);
    (void)snprintf(ro, sizeof(ro), "%s/ro", w->folders.root);
    const struct otr_wasi_dir dirs[] = { { rw, "/data", true }, { ro, "/static", false } };
    const otr_wasi wasi = { .env = env, .dirs = dirs, .n_dirs = OTR_COUNT(dirs) };
    const otr_guest_spec spec = {
        .name = "test", .wasi = &wasi, .ops = &ops, .host = &w->file, .init_ms = 10000
    };
    otr_code rc = open_engine(&w->engine, err);
    rc = rc == OTR_OK
             ? guest_file_load(&w->file, w->engine, "tests/guests/files-extism.wasm", NULL, err)
             : rc;
    return rc == OTR_OK ? otr_guest_new(w->file.code, &spec, &w->file.guest, err) : rc;
}

T_NO_OOM(a_guest_of_wasi_libc_works_in_its_folders) /* its own allocations are many */
{
    OTR_CLEANUP(at_work_deinit) at_work w = { .folders = { .root = "" } };
    otr_err err = { 0 };
    REQUIRE(folders_make(&w.folders));
    REQUIRE(symlink("../out", folders_path(&w.folders, "rw/away")) == 0);
    REQUIRE_OK(start(&w, &err), err);
    for (int round = 0; round < 3; round++) {
        REQUIRE_OK(guest_file_ask(&w.file, "work", "", 60000, &err), err);
        CHECK_STR(otr_buf_text(&w.file.out), "done");
        CHECK_STR(otr_buf_text(&w.file.logged), "done with a value");
    }
    CHECK_STR(host_text(&w.folders, "ro/file"), "in ro");
    CHECK_STR(host_text(&w.folders, "out/file"), "in out");
}
