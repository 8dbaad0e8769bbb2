// The conformance guest (see tests/guests/README.md) on the public Extism PDK for AssemblyScript.

import { Config, Host, LogLevel, Memory, Var } from "@extism/as-pdk";
import { error_set, length } from "@extism/as-pdk/lib/env";
import { dataOf } from "./json";

// @ts-ignore: decorator
@external("extism:host/user", "outrider_publish")
declare function outrider_publish(topic: u64, data: u64): u64;
// @ts-ignore: decorator
@external("extism:host/user", "outrider_call")
declare function outrider_call(operation: u64, input: u64): u64;
// @ts-ignore: decorator
@external("extism:host/user", "outrider_error")
declare function outrider_error(): u64;

function answer(text: string): i32 {
  Host.output(Uint8Array.wrap(String.UTF8.encode(text)));
  return 0;
}

function failed(text: string): i32 {
  error_set(Memory.allocateString(text).offset);
  return 1;
}

export function info(): i32 {
  return answer('{"name":"as-extism","version":"1.0.0","api":"1"}');
}

export function subscriptions(): i32 {
  return answer('{"topics":[{"pattern":"test.ping","kind":"event"}]}');
}

export function init(): i32 {
  return Host.inputString().startsWith("{") ? 0 : failed("config: not a JSON object");
}

export function reconfigure(): i32 {
  return init();
}

export function close(): i32 {
  Host.log(LogLevel.Info, "closed");
  return 0;
}

function processed(): i32 {
  const data = dataOf(Host.inputString());
  if (data == null) {
    return failed("the message has no data");
  }
  const error = outrider_publish(
    Memory.allocateString("test.echo").offset,
    Memory.allocateString(data).offset,
  );
  if (error != 0) {
    error_set(error);
    return 1;
  }
  return 0;
}
export { processed as process };

export function echo(): i32 {
  Host.output(Host.input());
  return 0;
}

export function fail(): i32 {
  return failed("asked to fail");
}

export function config(): i32 {
  const value = Config.get(Host.inputString());
  return value != null ? answer(value) : failed("no such key");
}

export function host(): i32 {
  const all = Host.input();
  const at = all.indexOf(10);
  const operation = Memory.allocateBytes(all.slice(0, at));
  const rest = all.slice(at + 1);
  const question = rest.length > 0 ? Memory.allocateBytes(rest).offset : 0;
  const result = outrider_call(operation.offset, question);
  const error = result == 0 ? outrider_error() : 0;
  if (error != 0) {
    error_set(error);
    return 1;
  }
  Host.output(result == 0 ? new Uint8Array(0) : new Memory(result, length(result)).toUint8Array());
  return 0;
}

export function note(): i32 {
  Host.log(LogLevel.Info, Host.inputString());
  return 0;
}

let counted: u32 = 0;

export function count(): i32 {
  counted++;
  return answer(counted.toString());
}

export function vars(): i32 {
  const old = Var.getString("n");
  const next = (old == null ? 1 : i32(parseInt(old)) + 1).toString();
  Var.set("n", Uint8Array.wrap(String.UTF8.encode(next)));
  return answer(next);
}

export function trap(): i32 {
  unreachable();
  return 0;
}

export function onAbort(
  message: string | null,
  file: string | null,
  line: u32,
  column: u32,
): void {
  unreachable();
}
