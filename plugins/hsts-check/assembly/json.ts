// JSON in place: a value is a range of the message's bytes, and only what is asked for becomes a string. A configuration
// of 16 MiB is read without a copy. Malformed text makes a value absent; nothing throws.

const OPEN_BRACE: u8 = 0x7b, CLOSE_BRACE: u8 = 0x7d, OPEN_BRACKET: u8 = 0x5b, CLOSE_BRACKET: u8 = 0x5d, QUOTE: u8 = 0x22,
  BACKSLASH: u8 = 0x5c, COLON: u8 = 0x3a, COMMA: u8 = 0x2c;

let text: Uint8Array = new Uint8Array(0);

/** The message that values are ranges of from now on. */
export function open(message: ArrayBuffer): i32 {
  text = Uint8Array.wrap(message);
  return skipSpace(0);
}

/** No such value. */
export const ABSENT: i32 = -1;

function at(i: i32): u8 {
  return i < text.length ? unchecked(text[i]) : 0;
}

function skipSpace(i: i32): i32 {
  while (at(i) == 0x20 || at(i) == 0x0a || at(i) == 0x09 || at(i) == 0x0d) {
    i++;
  }
  return i;
}

function skipString(i: i32): i32 {
  for (i++; i < text.length; i++) {
    const c = unchecked(text[i]);
    if (c == QUOTE) {
      return i + 1;
    }
    if (c == BACKSLASH) {
      i++;
    }
  }
  return ABSENT;
}

/** Behind the value at `i`, or ABSENT. */
function skipValue(i: i32): i32 {
  let depth = 0;
  while (i < text.length) {
    const c = unchecked(text[i]);
    if (c == QUOTE) {
      i = skipString(i);
      if (i < 0 || depth == 0) {
        return i;
      }
      continue;
    }
    if (c == OPEN_BRACE || c == OPEN_BRACKET) {
      depth++;
    } else if (c == CLOSE_BRACE || c == CLOSE_BRACKET) {
      if (depth <= 1) {
        return depth == 1 ? i + 1 : i;
      }
      depth--;
    } else if (depth == 0 && (c == COMMA || c <= 0x20)) {
      return i;
    }
    i++;
  }
  return depth == 0 ? i : ABSENT;
}

function isName(i: i32, name: string): bool {
  for (let k = 0; k < name.length; k++) {
    if (at(i + 1 + k) != u8(name.charCodeAt(k))) {
      return false;
    }
  }
  return at(i + 1 + name.length) == QUOTE;
}

/** Member `name` (ASCII) of the object at `object`, or ABSENT. */
export function member(object: i32, name: string): i32 {
  if (object < 0 || at(object) != OPEN_BRACE) {
    return ABSENT;
  }
  let i = skipSpace(object + 1);
  while (at(i) == QUOTE) {
    const key = i;
    i = skipString(i);
    if (i < 0 || at(skipSpace(i)) != COLON) {
      return ABSENT;
    }
    const value = skipSpace(skipSpace(i) + 1);
    if (isName(key, name)) {
      return value;
    }
    i = skipValue(value);
    i = i < 0 ? text.length : skipSpace(i);
    i = at(i) == COMMA ? skipSpace(i + 1) : text.length;
  }
  return ABSENT;
}

/** The first element of the array at `array`, or ABSENT. */
export function first(array: i32): i32 {
  if (array < 0 || at(array) != OPEN_BRACKET) {
    return ABSENT;
  }
  const i = skipSpace(array + 1);
  return at(i) == CLOSE_BRACKET || at(i) == 0 ? ABSENT : i;
}

/** The element behind the one at `element`, or ABSENT. */
export function next(element: i32): i32 {
  const end = skipValue(element);
  const i = end < 0 ? text.length : skipSpace(end);
  return at(i) == COMMA ? skipSpace(i + 1) : ABSENT;
}

/** Is the value the string `what` (ASCII, without escapes)? */
export function is(value: i32, what: string): bool {
  return value >= 0 && at(value) == QUOTE && isName(value, what);
}

export function isTrue(value: i32): bool {
  return value >= 0 && at(value) == 0x74;
}

export function number(value: i32): i32 {
  let n = 0;
  for (let i = value; value >= 0 && at(i) >= 0x30 && at(i) <= 0x39; i++) {
    n = n * 10 + i32(at(i) - 0x30);
  }
  return n;
}

/** The value as it stands there, such as a string with its quotes; "" when it is absent. */
export function raw(value: i32): string {
  const end = value < 0 ? ABSENT : skipValue(value);
  return end < 0 ? "" : String.UTF8.decodeUnsafe(text.dataStart + value, end - value);
}
