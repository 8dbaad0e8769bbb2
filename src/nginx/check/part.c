#include "nginx/check/part.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/files.h"
#include "nginx/language/reader.h"

enum { FOLDERS_MOST = 4 };

static const struct clue {
    const char *name;
    otr_place place;
} clues[] = {
    { "http", OTR_AT_MAIN },
    { "events", OTR_AT_MAIN },
    { "stream", OTR_AT_MAIN },
    { "mail", OTR_AT_MAIN },
    { "user", OTR_AT_MAIN },
    { "worker_processes", OTR_AT_MAIN },
    { "pid", OTR_AT_MAIN },
    { "daemon", OTR_AT_MAIN },
    { "load_module", OTR_AT_MAIN },
    { "worker_rlimit_nofile", OTR_AT_MAIN },
    { "server", OTR_AT_HTTP },
    { "upstream", OTR_AT_HTTP },
    { "map", OTR_AT_HTTP },
    { "geo", OTR_AT_HTTP },
    { "split_clients", OTR_AT_HTTP },
    { "limit_req_zone", OTR_AT_HTTP },
    { "log_format", OTR_AT_HTTP },
    { "proxy_cache_path", OTR_AT_HTTP },
    { "limit_conn_zone", OTR_AT_HTTP },
    { "listen", OTR_AT_SERVER },
    { "server_name", OTR_AT_SERVER },
    { "location", OTR_AT_SERVER },
};

/* Tried one after the other where a file has errors as what its clue says. */
static const struct kind {
    otr_place place;
    const char *name;
    const char *blocks[3]; /* that stand around it */
} kinds[] = {
    { OTR_AT_MAIN, NULL, { NULL } },
    { OTR_AT_HTTP, "http", { "http" } },
    { OTR_AT_SERVER, "server", { "http", "server" } },
    { OTR_AT_LOCATION, "location", { "http", "server", "location" } },
    { OTR_AT_STREAM, "stream", { "stream" } },
    { OTR_AT_STREAM_SERVER, "server of stream", { "stream", "server" } },
    { OTR_AT_EVENTS, "events", { "events" } },
    { OTR_AT_UPSTREAM, "upstream", { "http", "upstream" } },
};

static bool find_clue(const otr_token *word, otr_place *ret)
{
    for (size_t i = 0; i < OTR_COUNT(clues); i++) {
        if (otr_is(word->raw, clues[i].name)) {
            *ret = clues[i].place;
            return true;
        }
    }
    return false;
}

/* By the first directive outside of blocks that stands in few places. False: there is none. */
static bool guess_place(otr_bytes text, otr_place *ret)
{
    otr_reader reader;
    otr_item item = { 0 };
    bool done = false;
    *ret = OTR_AT_MAIN;
    otr_reader_init(&reader, text, "");
    while (!done && otr_reader_next(&reader, &item, NULL) == OTR_OK && item.kind != OTR_ITEM_END) {
        unsigned depth = reader.depth - (item.kind == OTR_ITEM_BLOCK);
        if (depth == 0 && item.kind != OTR_ITEM_CLOSE && item.n_words > 0) {
            done = find_clue(&item.words[0], ret);
        }
    }
    otr_reader_deinit(&reader);
    return done;
}

static otr_where where_of(const struct kind *kind)
{
    otr_where where = OTR_WHERE_MAIN;
    for (size_t i = 0; i < OTR_COUNT(kind->blocks) && kind->blocks[i] != NULL; i++) {
        where = otr_where_in(where, otr_bytes_of(kind->blocks[i]));
    }
    return where;
}

/* Where NGINX starts the relative paths of all files: the folder of nginx.conf. NULL: none of the
 * nearest ones has it. */
static otr_code find_prefix(const otr_parse *spec, char **ret, otr_err *err)
{
    otr_buf path;
    otr_buf_init(&path, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(spec->folder != NULL ? spec->folder : "/", spec->path, &path, err);
    for (int i = 0; rc == OTR_OK && *ret == NULL && i < FOLDERS_MOST; i++) {
        const char *slash = strrchr(otr_buf_text(&path), '/');
        if (slash == NULL || slash == otr_buf_text(&path)) {
            break;
        }
        size_t n = (size_t)(slash - otr_buf_text(&path));
        otr_err none = { 0 };
        int fd = -1;
        otr_buf_cut(&path, n);
        rc = otr_buf_adds(&path, "/nginx.conf", err);
        if (rc == OTR_OK &&
            otr_root_open(spec->root, otr_buf_text(&path), O_PATH, &fd, &none) == OTR_OK) {
            (void)close(fd);
            *ret = otr_strndup(otr_buf_text(&path), n);
            rc = *ret == NULL ? otr_fail_nomem(err) : OTR_OK;
        }
        otr_buf_cut(&path, n);
    }
    otr_buf_deinit(&path);
    return rc;
}

/* Wrong directives are left out with all that they hold: what keeps most fits best. */
static bool is_better(const otr_conf *a, const otr_conf *b)
{
    return a->n_nodes > b->n_nodes || (a->n_nodes == b->n_nodes && a->n_errors < b->n_errors);
}

/* Keeps the better reading. */
static otr_code parse_as(const otr_parse *spec, const struct kind *kind, otr_part_of *ret,
                         otr_conf **ret_conf, otr_err *err)
{
    otr_parse parse = *spec;
    otr_conf *conf = NULL;
    parse.where = where_of(kind);
    if (kind->place != OTR_AT_MAIN) {
        parse.prefix = ret->prefix;
    }
    otr_code rc = otr_conf_parse(&parse, &conf, err);
    if (rc == OTR_OK && (*ret_conf == NULL || is_better(conf, *ret_conf))) {
        otr_conf *worse = *ret_conf;
        *ret_conf = conf;
        conf = worse;
        ret->place = kind->place;
        ret->name = kind->name;
    }
    otr_conf_free(conf);
    return rc;
}

static otr_code parse_best(const otr_parse *spec, otr_part_of *ret, otr_conf **ret_conf,
                           otr_err *err)
{
    otr_place first;
    bool known = guess_place(*spec->text, &first);
    otr_code rc = OTR_OK;
    if (!known || first != OTR_AT_MAIN) {
        rc = find_prefix(spec, &ret->prefix, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(kinds); i++) {
        if (kinds[i].place == first) {
            rc = parse_as(spec, &kinds[i], ret, ret_conf, err);
        }
    }
    if (known && first == OTR_AT_MAIN) {
        return rc;
    }
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(kinds) && (*ret_conf)->n_errors > 0; i++) {
        if (kinds[i].place != first) {
            rc = parse_as(spec, &kinds[i], ret, ret_conf, err);
        }
    }
    return rc;
}

otr_code otr_part_parse(const otr_parse *spec, otr_part_of *ret, otr_conf **ret_conf, otr_err *err)
{
    *ret = (otr_part_of){ .place = OTR_AT_MAIN };
    otr_code rc = parse_best(spec, ret, ret_conf, err);
    if (ret->place == OTR_AT_MAIN) {
        otr_free(ret->prefix);
        ret->prefix = NULL;
    }
    return rc;
}
