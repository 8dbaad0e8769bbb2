// A reader for one flat level of JSON at a time: enough for the messages this plugin gets.
// Malformed text makes a member absent (null); nothing throws.

const OPEN_BRACE: i32 = 0x7b, CLOSE_BRACE: i32 = 0x7d, OPEN_BRACKET: i32 = 0x5b,
  CLOSE_BRACKET: i32 = 0x5d, QUOTE: i32 = 0x22, BACKSLASH: i32 = 0x5c, COLON: i32 = 0x3a,
  COMMA: i32 = 0x2c;

function isSpace(c: i32): bool {
  return c == 0x20 || c == 0x09 || c == 0x0a || c == 0x0d;
}

function skipSpace(text: string, at: i32): i32 {
  while (at < text.length && isSpace(text.charCodeAt(at))) {
    at++;
  }
  return at;
}

/** Index after the string at `at`, or -1. */
function skipString(text: string, at: i32): i32 {
  if (at >= text.length || text.charCodeAt(at) != QUOTE) {
    return -1;
  }
  for (at++; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c == QUOTE) {
      return at + 1;
    }
    if (c == BACKSLASH) {
      at++;
    }
  }
  return -1;
}

/** Index after the value at `at`, or -1. */
function skipValue(text: string, at: i32): i32 {
  let depth = 0;
  const from = at;
  while (at < text.length) {
    const c = text.charCodeAt(at);
    if (c == QUOTE) {
      at = skipString(text, at);
      if (at < 0) {
        return -1;
      }
      continue;
    }
    if (c == OPEN_BRACE || c == OPEN_BRACKET) {
      depth++;
    } else if (c == CLOSE_BRACE || c == CLOSE_BRACKET) {
      if (depth == 0) {
        break;
      }
      depth--;
    } else if (depth == 0 && (c == COMMA || isSpace(c))) {
      break;
    }
    at++;
  }
  return depth == 0 && at > from ? at : -1;
}

/** The raw text of member `name` of the object `text`, or null. */
export function member(text: string, name: string): string | null {
  let at = skipSpace(text, 0);
  if (at >= text.length || text.charCodeAt(at) != OPEN_BRACE) {
    return null;
  }
  at++;
  while (true) {
    at = skipSpace(text, at);
    const keyEnd = skipString(text, at);
    if (keyEnd < 0) {
      return null;
    }
    const key = text.substring(at + 1, keyEnd - 1);
    at = skipSpace(text, keyEnd);
    if (at >= text.length || text.charCodeAt(at) != COLON) {
      return null;
    }
    at = skipSpace(text, at + 1);
    const valueEnd = skipValue(text, at);
    if (valueEnd < 0) {
      return null;
    }
    if (key == name) {
      return text.substring(at, valueEnd);
    }
    at = skipSpace(text, valueEnd);
    if (at >= text.length || text.charCodeAt(at) != COMMA) {
      return null;
    }
    at++;
  }
}

function escaped(text: string, at: i32): string {
  const c = text.charCodeAt(at);
  switch (c) {
    case 0x62:
      return "\b";
    case 0x66:
      return "\f";
    case 0x6e:
      return "\n";
    case 0x72:
      return "\r";
    case 0x74:
      return "\t";
    case 0x75:
      return String.fromCharCode(i32(parseInt(text.substring(at + 1, at + 5), 16)));
    default:
      return String.fromCharCode(c);
  }
}

/** The decoded string, or `otherwise` when `raw` is absent or no string. */
export function stringOr(raw: string | null, otherwise: string): string {
  if (raw == null || raw.length < 2 || raw.charCodeAt(0) != QUOTE) {
    return otherwise;
  }
  let out = "";
  for (let at = 1; at < raw.length - 1; at++) {
    if (raw.charCodeAt(at) != BACKSLASH) {
      out += raw.charAt(at);
      continue;
    }
    at++;
    out += escaped(raw, at);
    if (raw.charCodeAt(at) == 0x75) {
      at += 4;
    }
  }
  return out;
}

/** How many elements the array `raw` has; 0 when it is absent or no array. */
export function count(raw: string | null): i32 {
  if (raw == null || raw.charCodeAt(0) != OPEN_BRACKET) {
    return 0;
  }
  let n = 0;
  let at = skipSpace(raw, 1);
  while (at < raw.length && raw.charCodeAt(at) != CLOSE_BRACKET) {
    at = skipValue(raw, at);
    if (at < 0) {
      return n;
    }
    n++;
    at = skipSpace(raw, at);
    if (at < raw.length && raw.charCodeAt(at) == COMMA) {
      at = skipSpace(raw, at + 1);
    }
  }
  return n;
}

/** `text` as a JSON string. */
export function quote(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x20) {
      out += "\\u00" + (c < 0x10 ? "0" : "1") + (c & 15).toString(16);
    } else if (c == QUOTE || c == BACKSLASH) {
      out += "\\" + String.fromCharCode(c);
    } else {
      out += String.fromCharCode(c);
    }
  }
  return out + '"';
}
