// The conformance guest (see tests/guests/README.md) for componentize-qjs.
import { publish } from 'outrider:plugin/bus@1.0.0';
import { write } from 'outrider:plugin/log@1.0.0';
import { get } from 'outrider:plugin/config@1.0.0';
import * as kv from 'outrider:plugin/kv@1.0.0';
import { call } from 'outrider:plugin/host@1.0.0';

const INFO = 2;

// QuickJS has neither TextEncoder nor TextDecoder.
function bytes(text) {
  const parts = encodeURIComponent(text).match(/%..|./g) ?? [];
  return Uint8Array.from(parts, (c) => (c.length > 1 ? parseInt(c.slice(1), 16) : c.charCodeAt(0)));
}
function text(list) {
  let escaped = '';
  for (const byte of list) escaped += '%' + byte.toString(16).padStart(2, '0');
  return decodeURIComponent(escaped);
}

let counted = 0;

export const lifecycle = {
  info: () => '{"name":"js-wit","version":"1.0.0","api":"1"}',
  subscriptions: () => '{"topics":[{"pattern":"test.ping","kind":"event"}]}',
  init(config) {
    if (typeof JSON.parse(config) !== 'object') throw 'config: not a JSON object';
  },
  reconfigure(config) {
    if (typeof JSON.parse(config) !== 'object') throw 'config: not a JSON object';
  },
  process(message) {
    const { data } = JSON.parse(text(message));
    if (data === undefined) throw 'the message has no data';
    publish('test.echo', bytes(JSON.stringify(data)));
    return new Uint8Array(0);
  },
  close() {
    write(INFO, 'closed');
  },
};

export const echo = (input) => input;
export function fail() {
  throw 'asked to fail';
}
export function config(key) {
  const value = get(text(key));
  if (value === undefined || value === null) throw 'no such key';
  return bytes(value);
}
// kv by its typed functions, everything else by name.
const typed = {
  'kv.get': (key) => {
    const value = kv.get(text(key));
    if (value === undefined || value === null) throw 'no such key';
    return value;
  },
  'kv.put': (input) => {
    const end = 4 + input[0] + input[1] * 256;
    kv.set(text(input.slice(4, end)), input.slice(end));
    return new Uint8Array(0);
  },
  'kv.delete': (key) => bytes(kv.delete_ !== undefined ? kv.delete_(text(key)) : kv.delete(text(key))),
  'kv.list': (prefix) => bytes(kv.list(text(prefix))),
};
export function host(input) {
  const at = input.indexOf(10);
  const operation = text(input.slice(0, at));
  const rest = input.slice(at + 1);
  return operation in typed ? typed[operation](rest) : call(operation, rest);
}
export function note(line) {
  write(INFO, text(line));
  return new Uint8Array(0);
}
export const count = () => bytes(String(++counted));
export function trap() {
  throw new Error('trapped');
}
