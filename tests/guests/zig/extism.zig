//! The conformance guest (see tests/guests/README.md) in Zig, with the Extism ABI declared by hand.

const common = @import("common.zig");

const env = struct {
    extern "extism:host/env" fn alloc(len: u64) u64;
    extern "extism:host/env" fn length(at: u64) u64;
    extern "extism:host/env" fn load_u8(at: u64) u32;
    extern "extism:host/env" fn store_u8(at: u64, byte: u32) void;
    extern "extism:host/env" fn input_length() u64;
    extern "extism:host/env" fn input_load_u8(at: u64) u32;
    extern "extism:host/env" fn output_set(at: u64, len: u64) void;
    extern "extism:host/env" fn error_set(at: u64) void;
    extern "extism:host/env" fn config_get(key: u64) u64;
    extern "extism:host/env" fn var_get(key: u64) u64;
    extern "extism:host/env" fn var_set(key: u64, value: u64) void;
    extern "extism:host/env" fn log_info(text: u64) void;
};
const user = struct {
    extern "extism:host/user" fn outrider_publish(topic: u64, data: u64) u64;
    extern "extism:host/user" fn outrider_call(operation: u64, input: u64) u64;
    extern "extism:host/user" fn outrider_error() u64;
};

var input_room: common.Room = .{};
var block_room: common.Room = .{};
var counted: u64 = 0;

fn input() []u8 {
    const to = input_room.take(@intCast(env.input_length()));
    for (to, 0..) |*byte, i| byte.* = @truncate(env.input_load_u8(i));
    return to;
}

fn give(bytes: []const u8) u64 {
    if (bytes.len == 0) return 0;
    const at = env.alloc(bytes.len);
    for (bytes, 0..) |byte, i| env.store_u8(at + i, byte);
    return at;
}

fn take(at: u64) []u8 {
    const to = block_room.take(@intCast(env.length(at)));
    for (to, 0..) |*byte, i| byte.* = @truncate(env.load_u8(at + i));
    return to;
}

fn answer(bytes: []const u8) i32 {
    env.output_set(give(bytes), bytes.len);
    return 0;
}

fn failed(text: []const u8) i32 {
    env.error_set(give(text));
    return 1;
}

export fn info() i32 {
    return answer("{\"name\":\"zig-extism\",\"version\":\"1.0.0\",\"api\":\"1\"}");
}

export fn subscriptions() i32 {
    return answer("{\"topics\":[{\"pattern\":\"test.ping\",\"kind\":\"event\"}]}");
}

export fn init() i32 {
    const config_text = input();
    if (config_text.len == 0 or config_text[0] != '{') return failed("config: not a JSON object");
    return 0;
}

export fn reconfigure() i32 {
    return init();
}

export fn close() i32 {
    env.log_info(give("closed"));
    return 0;
}

export fn host() i32 {
    const all = input();
    const at = common.find(all, '\n');
    const rest = if (at < all.len) all[at + 1 ..] else all[at..];
    const result = user.outrider_call(give(all[0..at]), give(rest));
    const err = if (result == 0) user.outrider_error() else 0;
    if (err == 0) return answer(if (result != 0) take(result) else "");
    env.error_set(err);
    return 1;
}

export fn process() i32 {
    const data = common.dataOf(input()) orelse return failed("the message has no data");
    const err = user.outrider_publish(give("test.echo"), give(data));
    if (err == 0) return 0;
    env.error_set(err);
    return 1;
}

export fn echo() i32 {
    return answer(input());
}

export fn fail() i32 {
    return failed("asked to fail");
}

export fn config() i32 {
    const value = env.config_get(give(input()));
    return if (value != 0) answer(take(value)) else failed("no such key");
}

export fn note() i32 {
    env.log_info(give(input()));
    return 0;
}

export fn count() i32 {
    var buf: [20]u8 = undefined;
    counted += 1;
    return answer(common.decimal(counted, &buf));
}

export fn vars() i32 {
    var buf: [20]u8 = undefined;
    const old = env.var_get(give("n"));
    const n = if (old != 0) common.parse(take(old)) else 0;
    const next = common.decimal(n + 1, &buf);
    env.var_set(give("n"), give(next));
    return answer(next);
}

export fn trap() i32 {
    @trap();
}
