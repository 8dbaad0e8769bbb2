// The conformance guest (see tests/guests/README.md) in C++ with libc++, a WASI reactor: what it
// tests beside the operations is that static constructors ran before the first one.

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#define ENV(name) __attribute__((import_module("extism:host/env"), import_name(name)))

extern "C" {
ENV("alloc") uint64_t x_alloc(uint64_t len);
ENV("length") uint64_t x_length(uint64_t at);
ENV("load_u8") uint32_t x_load_u8(uint64_t at);
ENV("store_u8") void x_store_u8(uint64_t at, uint32_t byte);
ENV("input_length") uint64_t x_input_length(void);
ENV("input_load_u8") uint32_t x_input_load_u8(uint64_t at);
ENV("output_set") void x_output_set(uint64_t at, uint64_t len);
ENV("error_set") void x_error_set(uint64_t at);
ENV("config_get") uint64_t x_config_get(uint64_t key);
ENV("var_get") uint64_t x_var_get(uint64_t key);
ENV("var_set") void x_var_set(uint64_t key, uint64_t value);
ENV("log_info") void x_log_info(uint64_t text);
__attribute__((import_module("extism:host/user"), import_name("outrider_publish"))) uint64_t
x_publish(uint64_t topic, uint64_t data);
__attribute__((import_module("extism:host/user"), import_name("outrider_call"))) uint64_t
x_call(uint64_t operation, uint64_t input);
__attribute__((import_module("extism:host/user"), import_name("outrider_error"))) uint64_t
x_error(void);
}

#define OPERATION(name)                                                \
    static int32_t run_##name();                                       \
    extern "C" __attribute__((export_name(#name))) int32_t op_##name() \
    {                                                                  \
        return run_##name();                                           \
    }                                                                  \
    static int32_t run_##name()

namespace
{

struct Greeting {
    std::string text;
    Greeting() : text("constructed")
    {
    }
};
Greeting greeting;

uint64_t give(std::string_view s)
{
    uint64_t at = s.empty() ? 0 : x_alloc(s.size());
    for (size_t i = 0; i < s.size(); i++) {
        x_store_u8(at + i, static_cast<unsigned char>(s[i]));
    }
    return at;
}

std::string take(uint64_t at)
{
    std::string s;
    s.resize(x_length(at));
    for (size_t i = 0; i < s.size(); i++) {
        s[i] = static_cast<char>(x_load_u8(at + i));
    }
    return s;
}

std::string input()
{
    std::string s;
    s.resize(x_input_length());
    for (size_t i = 0; i < s.size(); i++) {
        s[i] = static_cast<char>(x_input_load_u8(i));
    }
    return s;
}

int32_t answer(std::string_view s)
{
    x_output_set(give(s), s.size());
    return 0;
}

int32_t failed(std::string_view s)
{
    x_error_set(give(s));
    return 1;
}

// The object or array behind "data":, by its brackets; the tests send no brackets in strings.
std::string_view data_of(std::string_view envelope)
{
    size_t at = envelope.find("\"data\":");
    if (at == std::string_view::npos) {
        return {};
    }
    std::string_view rest = envelope.substr(at + 7);
    int depth = 0;
    for (size_t i = 0; i < rest.size(); i++) {
        depth += rest[i] == '{' || rest[i] == '[' ? 1 : 0;
        depth -= rest[i] == '}' || rest[i] == ']' ? 1 : 0;
        if (depth == 0) {
            return rest.substr(0, i + 1);
        }
    }
    return {};
}

// What is in front of the first line break, and what is behind it.
std::string cut(std::string *rest)
{
    std::string all = input();
    size_t at = all.find('\n');
    *rest = at == std::string::npos ? "" : all.substr(at + 1);
    return all.substr(0, at);
}

} // namespace

OPERATION(info)
{
    return answer(R"({"name":"cpp-extism","version":"1.0.0","api":"1"})");
}

OPERATION(subscriptions)
{
    return answer(R"({"topics":[{"pattern":"test.ping","kind":"event"}]})");
}

OPERATION(init)
{
    if (greeting.text != "constructed") {
        return failed("static constructors did not run");
    }
    return input().rfind('{', 0) == 0 ? 0 : failed("config: not a JSON object");
}

OPERATION(reconfigure)
{
    return input().rfind('{', 0) == 0 ? 0 : failed("config: not a JSON object");
}

OPERATION(close)
{
    x_log_info(give("closed"));
    return 0;
}

OPERATION(process)
{
    std::string envelope = input();
    std::string_view data = data_of(envelope);
    if (data.empty()) {
        return failed("the message has no data");
    }
    uint64_t error = x_publish(give("test.echo"), give(data));
    return error == 0 ? 0 : failed(take(error));
}

OPERATION(echo)
{
    return answer(input());
}

OPERATION(fail)
{
    return failed("asked to fail");
}

OPERATION(config)
{
    uint64_t value = x_config_get(give(input()));
    return value != 0 ? answer(take(value)) : failed("no such key");
}

OPERATION(host)
{
    std::string in, name = cut(&in);
    uint64_t result = x_call(give(name), give(in));
    uint64_t error = result == 0 ? x_error() : 0;
    return error == 0 ? answer(take(result)) : failed(take(error));
}

OPERATION(read)
{
    char text[4096];
    FILE *f = fopen(input().c_str(), "rb");
    if (f == nullptr) {
        return failed("cannot open the file");
    }
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    return answer({ text, n });
}

OPERATION(write)
{
    std::string in, name = cut(&in);
    FILE *f = fopen(name.c_str(), "wb");
    if (f == nullptr) {
        return failed("cannot open the file");
    }
    size_t n = fwrite(in.data(), 1, in.size(), f);
    return fclose(f) == 0 && n == in.size() ? 0 : failed("cannot write the file");
}

OPERATION(note)
{
    x_log_info(give(input()));
    return 0;
}

OPERATION(count)
{
    static unsigned n;
    return answer(std::to_string(++n));
}

OPERATION(vars)
{
    uint64_t old = x_var_get(give("n"));
    std::string text = old != 0 ? take(old) : "0";
    unsigned n = 0;
    for (char c : text) {
        n = n * 10 + static_cast<unsigned>(c - '0');
    }
    std::string next = std::to_string(n + 1);
    x_var_set(give("n"), give(next));
    return answer(next);
}

OPERATION(trap)
{
    __builtin_trap();
}
