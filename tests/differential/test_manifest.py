"""Extism manifests here and in libextism: what loads, and what the guest of it answers."""

import base64
import hashlib
import http.server
import pathlib
import threading

import cases_extism
import pytest
import suite
import wat

ALL_OF_MEMORY = (
    "(block $done (loop $next (br_if $done (i64.eqz (call $alloc (i64.const 1048576))))"
    " (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $done (i32.gt_u (local.get $i) (i32.const 1000)))"
    " (br $next))) (i32.const 0)"
)
LINKED = '(module (import "lib" "seven" (func $seven (result i32))) (func (export "run") (result i32) (i32.sub (call $seven) (i32.const 7))))'
LIBRARY = '(module (func (export "seven") (result i32) (i32.const 7)))'
ECHO = '"wasm": [{"path": "echo.wasm"}]'
RUN = [("run", b"abc")]

# name: (row or "", the manifest, what is asked)
MANIFESTS = {
    "a path": ("", f"{{{ECHO}}}", [*RUN, ("run", b"")]),
    "a path that is not there": ("", '{"wasm": [{"path": "none.wasm"}]}', RUN),
    "no modules": ("", '{"wasm": []}', RUN),
    "no JSON": ("", '{"wasm": [', RUN),
    "a right hash": ("", '{"wasm": [{"path": "echo.wasm", "hash": "@HASH"}]}', RUN),
    "a wrong hash": ("", '{"wasm": [{"path": "echo.wasm", "hash": "@WRONG"}]}', RUN),
    "base64": ("", '{"wasm": [{"data": "@BASE64"}]}', RUN),
    "base64 that is none": ("", '{"wasm": [{"data": "@@@"}]}', RUN),
    "settings": ("", f'{{{ECHO}, "config": {{"key": "a value"}}}}', [("config", b"")]),
    "an empty object of settings": ("", f'{{{ECHO}, "config": {{}}}}', [("config", b"")]),
    "a linked module": ("", '{"wasm": [{"path": "lib.wasm", "name": "lib"}, {"path": "linked.wasm"}]}', RUN),
    "a linked module, main named": ("", '{"wasm": [{"path": "linked.wasm", "name": "main"}, {"path": "lib.wasm", "name": "lib"}]}', RUN),
    "a linked module that is missing": ("", '{"wasm": [{"path": "linked.wasm"}]}', RUN),
    "no time for a loop": ("", f'{{{ECHO}, "timeout_ms": 200}}', [("loop", b""), *RUN]),
    "no host": ("", f'{{{ECHO}, "allowed_hosts": []}}', RUN),
    "line breaks in base64": ("manifest-base64", '{"wasm": [{"data": "@LINES"}]}', RUN),
    "a pointer": ("manifest-data-pointer", '{"wasm": [{"data": {"ptr": 4096, "len": 10}}]}', RUN),
    "a hash in capitals": ("manifest-hash-case", '{"wasm": [{"path": "echo.wasm", "hash": "@CAPITALS"}]}', RUN),
    "HTTP, no hosts named": ("manifest-hosts", f"{{{ECHO}}}", [("http", b"")]),
    "a module called env": ("manifest-names", '{"wasm": [{"path": "lib.wasm", "name": "env"}, {"path": "echo.wasm"}]}', RUN),
    "null for config": ("manifest-null", f'{{{ECHO}, "config": null}}', RUN),
    "all of memory": ("manifest-oom", f'{{{ECHO}, "memory": {{"max_pages": 20}}}}', [("all", b"")]),
    "a relative folder": ("manifest-paths", f'{{{ECHO}, "allowed_paths": {{".": "/mnt"}}}}', RUN),
    "a URL": ("manifest-url", '{"wasm": [{"url": "http://127.0.0.1:@PORT/echo.wasm"}]}', RUN),
    "-0": ("manifest-zero-signed", f'{{{ECHO}, "timeout_ms": -0}}', RUN),
}  # fmt: skip
CASES = [cases_extism.Case(name, text, steps, differs=row) for name, (row, text, steps) in MANIFESTS.items()]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    one = suite.Suite("manifest", "extism", str(tmp_path_factory.mktemp("guests")))
    yield one
    one.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def words(both):
    """The modules beside the manifests, and what stands for what in them."""
    folder = pathlib.Path(both.folder)
    t = wat.Texts()
    key, request = t.block("key"), t.block('{"url":"http://granted.test/"}')
    ops = {
        "run": "(call $echo) (i32.const 0)",
        "config": f"(call $note (call $length (call $config_get {key}))) (call $flush) (i32.const 0)",
        "http": f"(call $note (call $length (call $http_request {request} (i64.const 0)))) (call $flush) (i32.const 0)",
        "loop": "(loop $l (br $l)) (i32.const 0)",
        "all": ALL_OF_MEMORY,
    }
    for name, text in (("echo", wat.extism(ops, t)), ("linked", LINKED), ("lib", LIBRARY)):
        pathlib.Path(wat.build(text, both.folder, name)).rename(folder / f"{name}.wasm")
    wasm = (folder / "echo.wasm").read_bytes()
    coded, digest = base64.b64encode(wasm).decode(), hashlib.sha256(wasm).hexdigest()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *about: Quiet(*about, directory=both.folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {
        "@HASH": digest, "@WRONG": digest[::-1], "@CAPITALS": digest.upper(), "@BASE64": coded,
        "@LINES": "\\n".join(coded[i : i + 76] for i in range(0, len(coded), 76)), "@PORT": str(server.server_port),
    }  # fmt: skip
    server.shutdown()
    server.server_close()


def test_the_list_has_what_differs():
    suite.check_list("manifest", CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_manifest_means_the_same(both, words, case):
    text = case.text
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    path = pathlib.Path(both.folder) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    path.write_text(text)
    both.check(case, str(path))
