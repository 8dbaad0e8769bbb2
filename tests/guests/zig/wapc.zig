//! The conformance guest (see tests/guests/README.md) in Zig, with the waPC ABI declared by hand.

const common = @import("common.zig");

const host = struct {
    extern "wapc" fn __guest_request(operation: [*]u8, payload: [*]u8) void;
    extern "wapc" fn __guest_response(at: [*]const u8, len: usize) void;
    extern "wapc" fn __guest_error(at: [*]const u8, len: usize) void;
    extern "wapc" fn __host_call(
        binding: [*]const u8,
        binding_len: usize,
        space: [*]const u8,
        space_len: usize,
        operation: [*]const u8,
        operation_len: usize,
        payload: [*]const u8,
        payload_len: usize,
    ) i32;
    extern "wapc" fn __host_response_len() usize;
    extern "wapc" fn __host_response(to: [*]u8) void;
    extern "wapc" fn __host_error_len() usize;
    extern "wapc" fn __host_error(to: [*]u8) void;
};

const Operation = struct { name: []const u8, run: *const fn ([]const u8) i32 };
const operations = [_]Operation{
    .{ .name = "info", .run = info },
    .{ .name = "subscriptions", .run = subscriptions },
    .{ .name = "init", .run = init },
    .{ .name = "process", .run = process },
    .{ .name = "reconfigure", .run = init },
    .{ .name = "close", .run = close },
    .{ .name = "host", .run = generic },
    .{ .name = "echo", .run = answer },
    .{ .name = "fail", .run = fail },
    .{ .name = "config", .run = config },
    .{ .name = "note", .run = note },
    .{ .name = "count", .run = count },
    .{ .name = "trap", .run = trap },
};

var name_room: common.Room = .{};
var payload_room: common.Room = .{};
var out_room: common.Room = .{};
var counted: u64 = 0;

fn answer(bytes: []const u8) i32 {
    host.__guest_response(bytes.ptr, bytes.len);
    return 1;
}

fn failed(text: []const u8) i32 {
    host.__guest_error(text.ptr, text.len);
    return 0;
}

fn call(space: []const u8, operation: []const u8, payload: []const u8) i32 {
    const binding = "outrider";
    if (host.__host_call(
        binding.ptr,
        binding.len,
        space.ptr,
        space.len,
        operation.ptr,
        operation.len,
        payload.ptr,
        payload.len,
    ) == 1) {
        const to = out_room.take(host.__host_response_len());
        host.__host_response(to.ptr);
        return answer(to);
    }
    const to = out_room.take(host.__host_error_len());
    host.__host_error(to.ptr);
    return failed(to);
}

fn info(_: []const u8) i32 {
    return answer("{\"name\":\"zig-wapc\",\"version\":\"1.0.0\",\"api\":\"1\",\"operations\":[" ++
        "\"info\",\"subscriptions\",\"init\",\"process\",\"reconfigure\",\"close\",\"host\",\"echo\",\"fail\",\"config\",\"note\"," ++
        "\"count\",\"trap\"]}");
}

fn subscriptions(_: []const u8) i32 {
    return answer("{\"topics\":[{\"pattern\":\"test.ping\",\"kind\":\"event\"}]}");
}

fn init(input: []const u8) i32 {
    if (input.len == 0 or input[0] != '{') return failed("config: not a JSON object");
    return 1;
}

fn close(_: []const u8) i32 {
    return call("log", "info", "closed");
}

/// "namespace.operation", a line break, the payload.
fn generic(input: []const u8) i32 {
    const at = common.find(input, '\n');
    const dot = common.find(input[0..at], '.');
    if (at == input.len or dot == at) return failed("no operation");
    return call(input[0..dot], input[dot + 1 .. at], input[at + 1 ..]);
}

fn process(input: []const u8) i32 {
    const head = "{\"topic\":\"test.echo\",\"data\":";
    const data = common.dataOf(input) orelse return failed("the message has no data");
    const to = out_room.take(head.len + data.len + 1);
    for (head, 0..) |byte, i| to[i] = byte;
    for (data, 0..) |byte, i| to[head.len + i] = byte;
    to[to.len - 1] = '}';
    return call("bus", "publish", to);
}

fn fail(_: []const u8) i32 {
    return failed("asked to fail");
}

fn config(input: []const u8) i32 {
    return call("config", "get", input);
}

fn note(input: []const u8) i32 {
    return call("log", "info", input);
}

fn count(_: []const u8) i32 {
    var buf: [20]u8 = undefined;
    counted += 1;
    return answer(common.decimal(counted, &buf));
}

fn trap(_: []const u8) i32 {
    @trap();
}

export fn __guest_call(name_len: usize, payload_len: usize) i32 {
    const name = name_room.take(name_len);
    const payload = payload_room.take(payload_len);
    host.__guest_request(name.ptr, payload.ptr);
    for (operations) |operation| {
        if (common.equal(operation.name, name)) return operation.run(payload);
    }
    return failed("no such operation");
}
