// health-notes: what happens to NGINX instances, as sentences a person can read.
//
// Written in AssemblyScript with the public Extism PDK; only outrider_publish is Outrider's own.

import { Host, Memory } from "@extism/as-pdk";
import { error_set } from "@extism/as-pdk/lib/env";
import { count, member, quote, stringOr } from "./json";

// @ts-ignore: decorator
@external("extism:host/user", "outrider_publish")
declare function outrider_publish(topic: u64, data: u64): u64;

const OK: i32 = 0;
const FAILED: i32 = 1;

function answer(text: string): i32 {
  Host.output(Uint8Array.wrap(String.UTF8.encode(text)));
  return OK;
}

function fail(text: string): i32 {
  error_set(Memory.allocateString(text).offset);
  return FAILED;
}

// The host's text of a failed publish becomes this call's error.
function publish(topic: string, data: string): i32 {
  const error = outrider_publish(
    Memory.allocateString(topic).offset,
    Memory.allocateString(data).offset,
  );
  if (error == 0) {
    return OK;
  }
  error_set(error);
  return FAILED;
}

export function info(): i32 {
  return answer('{"name":"health-notes","version":"1.0.0","api":"1"}');
}

export function subscriptions(): i32 {
  return answer(
    '{"topics":[{"pattern":"nginx.instance.*","kind":"event"},' +
      '{"pattern":"nginx.health.changed","kind":"event"}]}',
  );
}

function named(data: string): string {
  const version = stringOr(member(data, "version"), "");
  const product = member(data, "plus") == "true" ? "NGINX Plus" : "NGINX";
  const pid = member(data, "pid");
  return product + (version != "" ? " " + version : "") + (pid != null ? " (master " + pid + ")" : "");
}

function plural(n: i32, noun: string): string {
  return n.toString() + " " + noun + (n == 1 ? "" : "s");
}

function sentence(topic: string, data: string): string {
  if (topic == "nginx.health.changed") {
    const why = stringOr(member(data, "description"), "");
    const status = stringOr(member(data, "status"), "unknown");
    return "NGINX is " + status + (why != "" ? ": " + why : "") + ".";
  }
  const workers = plural(count(member(data, "workers")), "worker");
  if (topic == "nginx.instance.started") {
    const config = stringOr(member(data, "config"), "");
    return named(data) + " runs with " + workers + (config != "" ? " on " + config : "") + ".";
  }
  if (topic == "nginx.instance.changed") {
    return named(data) + " changed: it now has " + workers + ".";
  }
  if (topic == "nginx.instance.stopped") {
    return named(data) + " stopped.";
  }
  return "";
}

function note(): i32 {
  const envelope = String.UTF8.decode(Host.input().buffer);
  const topic = stringOr(member(envelope, "topic"), "");
  const data = member(envelope, "data");
  if (topic == "" || data == null) {
    return fail("the message has no topic or no data");
  }
  const text = sentence(topic, data);
  if (text == "") {
    return OK;
  }
  const id = stringOr(member(data, "id"), "");
  return publish("note.instance", '{"instance":' + quote(id) + ',"text":' + quote(text) + "}");
}

export { note as process };

export function onAbort(
  message: string | null,
  file: string | null,
  line: u32,
  column: u32,
): void {
  const where = (file == null ? "?" : file) + ":" + line.toString() + ":" + column.toString();
  error_set(Memory.allocateString((message == null ? "aborted" : message) + " at " + where).offset);
  unreachable();
}
