// The conformance guest (see tests/guests/README.md) on the public waPC SDK for AssemblyScript.

import { handleAbort, handleCall, hostCall, register, Result } from "@wapc/as-guest";
import { dataOf } from "./json";

type Answer = Result<ArrayBuffer>;

function text(s: string): Answer {
  return Result.ok<ArrayBuffer>(String.UTF8.encode(s));
}

function failed(s: string): Answer {
  return Result.error<ArrayBuffer>(new Error(s));
}

function info(_: ArrayBuffer): Answer {
  return text(
    '{"name":"as-wapc","version":"1.0.0","api":"1","operations":["info","subscriptions",' +
      '"init","process","reconfigure","close","host","echo","fail","config","note","count","trap"]}',
  );
}

function subscriptions(_: ArrayBuffer): Answer {
  return text('{"topics":[{"pattern":"test.ping","kind":"event"}]}');
}

function init(input: ArrayBuffer): Answer {
  return String.UTF8.decode(input).startsWith("{") ? text("") : failed("config: not a JSON object");
}

function processed(input: ArrayBuffer): Answer {
  const data = dataOf(String.UTF8.decode(input));
  if (data == null) {
    return failed("the message has no data");
  }
  const payload = '{"topic":"test.echo","data":' + data + "}";
  const answer = hostCall("outrider", "bus", "publish", String.UTF8.encode(payload));
  return answer.isOk ? text("") : answer;
}

function close(_: ArrayBuffer): Answer {
  return hostCall("outrider", "log", "info", String.UTF8.encode("closed"));
}

// "namespace.operation", a line break, the payload.
function host(input: ArrayBuffer): Answer {
  const at = Uint8Array.wrap(input).indexOf(10);
  const name = String.UTF8.decode(input.slice(0, at)).split(".");
  return hostCall("outrider", name[0], name[1], input.slice(at + 1));
}

function echo(input: ArrayBuffer): Answer {
  return Result.ok<ArrayBuffer>(input);
}

function fail(_: ArrayBuffer): Answer {
  return failed("asked to fail");
}

function config(input: ArrayBuffer): Answer {
  return hostCall("outrider", "config", "get", input);
}

function note(input: ArrayBuffer): Answer {
  return hostCall("outrider", "log", "info", input);
}

let counted: u32 = 0;

function count(_: ArrayBuffer): Answer {
  counted++;
  return text(counted.toString());
}

function trap(_: ArrayBuffer): Answer {
  unreachable();
  return text("");
}

export function wapc_init(): void {
  register("info", info);
  register("subscriptions", subscriptions);
  register("init", init);
  register("process", processed);
  register("reconfigure", init);
  register("close", close);
  register("host", host);
  register("echo", echo);
  register("fail", fail);
  register("config", config);
  register("note", note);
  register("count", count);
  register("trap", trap);
}

export function __guest_call(operation: usize, payload: usize): bool {
  return handleCall(operation, payload);
}

export function onAbort(
  message: string | null,
  file: string | null,
  line: u32,
  column: u32,
): void {
  handleAbort(message, file, line, column);
  unreachable();
}
