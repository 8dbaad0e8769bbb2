// hsts-check: every TLS server of a configuration must send Strict-Transport-Security, and no two servers of one address may
// have the same name.
//
// Written in AssemblyScript with the public waPC SDK. It answers the hook nginx.config.validate on the parsed tree.

import { handleAbort, handleCall, hostCall, register, Result } from "@wapc/as-guest";
import { ABSENT, first, is, isTrue, member, next, number, open, raw } from "./json";

type Answer = Result<ArrayBuffer>;

const DEPTH: i32 = 40, FINDINGS: i32 = 16;

function answer(s: string): Answer {
  return Result.ok<ArrayBuffer>(String.UTF8.encode(s));
}

function info(_: ArrayBuffer): Answer {
  return answer('{"name":"hsts-check","version":"1.0.0","api":"1","operations":["info","subscriptions","process"]}');
}

function subscriptions(_: ArrayBuffer): Answer {
  return answer('{"topics":[{"pattern":"nginx.config.validate","kind":"hook"}]}');
}

// ---- findings ----

let findings: string[] = [];
let denied: bool = false;

function tell(file: string, directive: i32, severity: string, message: string): void {
  denied = denied || severity == "error";
  if (findings.length < FINDINGS) {
    findings.push(
      '{"file":' + file + ',"line":' + number(member(directive, "line")).toString() + ',"severity":"' + severity +
        '","message":"' + message + '"}',
    );
  }
}

function verdict(): Answer {
  return answer('{"verdict":"' + (denied ? "deny" : "allow") + '","findings":[' + findings.join(",") + "]}");
}

// ---- directives ----

let files: i32[] = [];

function isDirective(directive: i32, name: string): bool {
  return is(member(directive, "directive"), name);
}

/** The header's name, whatever its case. */
function setsHsts(directive: i32): bool {
  const name = raw(first(member(directive, "args"))).toLowerCase();
  return isDirective(directive, "add_header") && name == '"strict-transport-security"';
}

/** What a block, with all that it includes, says of headers and TLS. */
class Block {
  headers: bool = false; // it has an add_header, so it inherits none
  hsts: bool = false;
  tls: bool = false;
  listens: string[] = [];
  names: string[] = [];
  // Blocks inside, and the files that they stand in.
  inner: i32[] = [];
  places: string[] = [];
}

function hasArgument(directive: i32, what: string): bool {
  for (let arg = first(member(directive, "args")); arg >= 0; arg = next(arg)) {
    if (is(arg, what)) {
      return true;
    }
  }
  return false;
}

function take(block: Block, directive: i32, file: string): void {
  if (isDirective(directive, "add_header")) {
    block.headers = true;
    block.hsts = block.hsts || setsHsts(directive);
  } else if (isDirective(directive, "listen")) {
    block.tls = block.tls || hasArgument(directive, "ssl") || hasArgument(directive, "quic");
    block.listens.push(raw(first(member(directive, "args"))));
  } else if (isDirective(directive, "server_name")) {
    for (let arg = first(member(directive, "args")); arg >= 0; arg = next(arg)) {
      block.names.push(raw(arg));
    }
  } else if (member(directive, "block") >= 0) {
    block.inner.push(directive);
    block.places.push(file);
  }
}

/** Reads the list of directives at `list` of `file`, and what it includes, into `block`. */
function read(block: Block, list: i32, file: string, depth: i32): void {
  for (let directive = first(list); directive >= 0; directive = next(directive)) {
    const includes = member(directive, "includes");
    take(block, directive, file);
    for (let one = first(includes); one >= 0; one = next(one)) {
      const index = number(one);
      if (depth >= DEPTH || index >= files.length) {
        tell(file, directive, "error", "what it includes could not be looked at");
      } else {
        read(block, member(files[index], "parsed"), raw(member(files[index], "file")), depth + 1);
      }
    }
  }
}

function blockOf(directive: i32, file: string): Block {
  const block = new Block();
  read(block, member(directive, "block"), file, 0);
  return block;
}

// ---- rules ----

/** `sent`: what the block around it makes its answers have. */
function checkLocations(around: Block, sent: bool): void {
  for (let i = 0; i < around.inner.length; i++) {
    if (!isDirective(around.inner[i], "location") && !isDirective(around.inner[i], "if")) {
      continue;
    }
    const block = blockOf(around.inner[i], around.places[i]);
    const sends = block.headers ? block.hsts : sent;
    if (sent && !sends) {
      tell(
        around.places[i],
        around.inner[i],
        "warning",
        "its add_header takes Strict-Transport-Security of the server away",
      );
    }
    checkLocations(block, sends);
  }
}

const seen = new Map<string, string>();

function checkNames(server: Block, directive: i32, file: string): void {
  for (let l = 0; l < server.listens.length; l++) {
    for (let n = 0; n < server.names.length; n++) {
      const key = server.listens[l] + " " + server.names[n];
      if (seen.has(key) && seen.get(key) != file + number(member(directive, "line")).toString()) {
        tell(file, directive, "error", "another server of this address has the same name");
        return;
      }
      seen.set(key, file + number(member(directive, "line")).toString());
    }
  }
}

function checkServers(http: Block): void {
  seen.clear();
  for (let i = 0; i < http.inner.length; i++) {
    if (!isDirective(http.inner[i], "server")) {
      continue;
    }
    const server = blockOf(http.inner[i], http.places[i]);
    const sends = server.headers ? server.hsts : http.hsts;
    if (server.tls && !sends) {
      tell(http.places[i], http.inner[i], "error", "a TLS server without Strict-Transport-Security");
    } else if (server.tls) {
      checkLocations(server, sends);
    }
    checkNames(server, http.inner[i], http.places[i]);
  }
}

function processed(input: ArrayBuffer): Answer {
  const data = member(open(input), "data");
  const list = member(member(data, "config"), "config");
  findings = [];
  files = [];
  denied = false;
  if (list == ABSENT) {
    const large = isTrue(member(data, "config_truncated"));
    hostCall("outrider", "log", "warn", String.UTF8.encode("there is no parsed configuration in the question"));
    return large
      ? answer('{"verdict":"deny","message":"the configuration is too large to be checked as a whole"}')
      : Result.error<ArrayBuffer>(new Error("the question has no configuration"));
  }
  for (let file = first(list); file >= 0; file = next(file)) {
    files.push(file);
  }
  if (files.length == 0) {
    return answer('{"verdict":"deny","message":"the configuration has no files to look at"}');
  }
  const main = new Block();
  read(main, member(files[0], "parsed"), raw(member(files[0], "file")), 0);
  for (let i = 0; i < main.inner.length; i++) {
    if (isDirective(main.inner[i], "http")) {
      checkServers(blockOf(main.inner[i], main.places[i]));
    }
  }
  return verdict();
}

export function wapc_init(): void {
  register("info", info);
  register("subscriptions", subscriptions);
  register("process", processed);
}

export function __guest_call(operation: usize, payload: usize): bool {
  return handleCall(operation, payload);
}

export function onAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  handleAbort(message, file, line, column);
  unreachable();
}
