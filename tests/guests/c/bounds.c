/* Takes as much as it is told to, of whatever it is told to. The hook "bounds.go" is
 *
 *     {"do":"publish","name":"flood.t","n":300}   300 messages, each under a topic of its own
 *     {"do":"put","name":"a","n":50}              50 values of 1,000 bytes, under keys a-0000 …
 *     {"do":"drop","name":"a","n":50}             deletes them
 *     {"do":"get","name":"http://…","n":1}        requests it
 *     {"do":"kept","n":12000000}                  publishes that many bytes, which process then
 * fails
 *     {"do":"storm","n":100}                      publishes messages that process fails and repeats
 *
 * and its answer allows, with how many were done and the last error as text. With "url" and "times"
 * in its configuration, init() requests the one so many times. */
#ifdef GUEST_WAPC
#include "outrider_wapc.h"
#else
#include "outrider_extism.h"
#endif

OG_INFO("bounds", "1.0.0")

OG_OPERATION(subscriptions)
{
    return og_output(OG_STR("{\"topics\":[{\"pattern\":\"bounds.*\",\"kind\":\"hook\"},"
                            "{\"pattern\":\"kept.x\"},{\"pattern\":\"storm.x\"}]}"));
}

enum { VALUE_BYTES = 1000, MOST_BYTES = 12000000 };

static char text[MOST_BYTES];
static char question[4096];

static void fill(char *to, char with, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = with;
    }
}

static unsigned number(og_str s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.len && s.at[i] >= '0' && s.at[i] <= '9'; i++) {
        n = n * 10 + (unsigned)(s.at[i] - '0');
    }
    return n;
}

/* `name` and four digits behind `mark`, as a string of C. */
static og_str numbered(og_str name, char mark, unsigned n, char to[80])
{
    size_t k = name.len < 64 ? name.len : 64;
    og_copy(to, name.at, k);
    to[k++] = mark;
    for (unsigned d = 1000; d > 0; d /= 10) {
        to[k++] = (char)('0' + n / d % 10);
    }
    to[k] = '\0';
    return (og_str){ to, k };
}

/* `head`, its length before it, and `body` behind it. */
static og_str frame(og_str head, og_str body)
{
    for (unsigned i = 0; i < 4; i++) {
        question[i] = (char)(head.len >> (8 * i));
    }
    og_copy(question + 4, head.at, head.len);
    og_copy(question + 4 + head.len, body.at, body.len);
    return (og_str){ question, 4 + head.len + body.len };
}

static og_str get(og_str url)
{
    static char json[2048];
    og_writer w = og_json_object(json, sizeof json);
    og_put_key_(&w, "url");
    og_put_quoted_(&w, url);
    return og_call("http.request", frame(og_json_end(&w), OG_STR("")));
}

static bool do_one(og_str what, og_str name, unsigned i)
{
    char to[80];
    switch (what.at[0]) {
    case 'p':
        if (what.at[2] == 'b') { /* publish */
            return og_publish(numbered(name, '.', i, to).at, OG_STR("1")) == OG_OK;
        }
        fill(text, 'x', VALUE_BYTES);
        return og_call("kv.put", frame(numbered(name, '-', i, to), (og_str){ text, VALUE_BYTES }))
                   .at != NULL;
    case 'd':
        return og_call("kv.delete", numbered(name, '-', i, to)).at != NULL;
    case 'g':
        return get(name).at != NULL;
    default:
        return og_publish("storm.x", OG_STR("1")) == OG_OK;
    }
}

static int answer(unsigned done, og_str why)
{
    static char out[1024], said[512];
    og_writer w = og_json_object(out, sizeof out);
    size_t n = numbered(OG_STR("done"), ' ', done, said).len;
    said[n++] = ' ';
    size_t more = why.len < 400 ? why.len : 400;
    og_copy(said + n, why.at, more);
    og_put_text(&w, "verdict", "allow");
    og_put_key_(&w, "message");
    og_put_quoted_(&w, (og_str){ said, n + more });
    return og_output_json(&w);
}

static int fail_long(void)
{
    fill(text, 'A', 200);
    return og_fail_str((og_str){ text, 200 });
}

OG_OPERATION(process)
{
    char topic[64], name[512], verb[16];
    og_str in = og_input();
    if (in.len > 1000000) {
        return og_fail("too large for me");
    }
    og_str about = og_json_string(og_json_get(in, "topic"), topic, sizeof topic);
    if (og_str_eq(about, OG_STR("storm.x"))) {
        (void)og_publish("storm.x", OG_STR("1"));
        return fail_long();
    }
    og_str what = og_json_string(og_json_get(in, "data.do"), verb, sizeof verb);
    og_str of = og_json_string(og_json_get(in, "data.name"), name, sizeof name);
    unsigned n = number(og_json_get(in, "data.n")), done = 0;
    og_str why = OG_STR("");
    if (og_str_eq(what, OG_STR("kept"))) {
        fill(text, 'x', n);
        text[0] = text[n - 1] = '"';
        done = og_publish("kept.x", (og_str){ text, n }) == OG_OK;
        return answer(done, done != 0 ? why : og_error());
    }
    for (unsigned i = 0; i < n; i++) {
        bool ok = do_one(what, of, i);
        done += ok;
        why = ok ? why : og_error();
    }
    return answer(done, why);
}

OG_OPERATION(init)
{
    static char url[512];
    og_str at = og_config("url");
    size_t n = at.at != NULL && at.len < sizeof url ? at.len : 0;
    og_copy(url, at.at, n);
    unsigned times = n > 0 ? number(og_config("times")) : 0;
    for (unsigned i = 0; i < times; i++) {
        if (get((og_str){ url, n }).at == NULL) {
            return og_fail_str(og_error());
        }
    }
    return OG_OK;
}
