// The conformance guest (see tests/guests/README.md) for componentize-qjs.
import { publish } from 'outrider:plugin/bus@1.0.0';
import { write } from 'outrider:plugin/log@1.0.0';
import { get } from 'outrider:plugin/config@1.0.0';

const INFO = 2;
const bytes = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));

// QuickJS has no TextDecoder.
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
  close() {},
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
export function note(line) {
  write(INFO, text(line));
  return new Uint8Array(0);
}
export const count = () => bytes(String(++counted));
export function trap() {
  throw new Error('trapped');
}
