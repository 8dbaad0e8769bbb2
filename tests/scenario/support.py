"""What the scenarios share: a private NGINX, the agent under test, guests written in Wasm text."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

import yaml

BINARY = os.environ.get("OUTRIDER", "build/dev/outrider")
BUILD = pathlib.Path(os.environ.get("OTR_BUILD", "build/dev"))
NGINX = next((p for p in ("/usr/sbin/nginx", "/usr/bin/nginx") if os.path.exists(p)), None)
# The sanitized binary is slow and the machine is shared: patience costs nothing when all is well.
PATIENCE = 40.0  # nothing waits for so long but on a busy machine


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(check, what, seconds=PATIENCE):
    """Calls check() until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Nginx:
    """One NGINX with two server blocks; its own prefix, pid file and logs."""

    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.port = free_port()
        self.status_port = free_port()
        self.conf = self.home / "nginx.conf"
        self.access_log = self.home / "access.log"
        self.pid_file = self.home / "nginx.pid"

    def config(self, extra=""):
        user = "user root;" if os.geteuid() == 0 else ""
        return f"""
{user}
pid {self.pid_file};
error_log {self.home}/error.log;
worker_processes 2;
events {{ worker_connections 64; }}
http {{
    access_log {self.access_log};
    client_body_temp_path {self.home}/t1; proxy_temp_path {self.home}/t2; fastcgi_temp_path {self.home}/t3;
    uwsgi_temp_path {self.home}/t4; scgi_temp_path {self.home}/t5;
    server {{
        listen 127.0.0.1:{self.port};
        location / {{ return 200 "fine\\n"; }}
        location /missing {{ return 404; }}
        location /broken {{ return 500; }}
    }}
    server {{
        listen 127.0.0.1:{self.status_port};
        location = /status {{ stub_status; access_log off; }}
    }}
    {extra}
}}
"""

    def start(self, extra=""):
        self.home.mkdir(parents=True, exist_ok=True)
        self.conf.write_text(self.config(extra))
        subprocess.run([NGINX, "-p", self.home, "-c", self.conf], check=True)
        wait_for(lambda: self.pid() and self.answers(), "NGINX answers")

    def pid(self):
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def answers(self):
        with contextlib.suppress(OSError):
            return self.get("/") == 200
        return False

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def signal(self, signum):
        os.kill(self.pid(), signum)

    def stop(self):
        pids = [self.pid()]
        with contextlib.suppress(OSError, ValueError):
            pids.append(int((self.home / "nginx.pid.oldbin").read_text()))
        for pid in filter(None, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda p=pid: not alive(p), f"NGINX {pid} ends")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Agent:
    """The agent under test, with its own configuration file, sockets and folders."""

    def __init__(self, home, plugins=(), config=None, env=None, flags=()):
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.conf = self.home / "agent.yaml"
        self.socket = self.home / "a.sock"
        self.port = free_port()
        self.log_path = self.home / "log.txt"
        self.env = env or {}
        self.flags = list(flags)
        self.wrap = []  # a command before it, e.g. SMALL_STACK
        self.process = None
        self.settings = {
            "log": {"level": "debug"},
            "outrider": {
                "admin": {"socket": str(self.socket)},
                "status": {"port": self.port},
                "metrics": {"interval": "200ms"},
            },
            "watchers": {
                "instance_watcher": {"monitoring_frequency": "200ms"},
                "instance_health_watcher": {"monitoring_frequency": "200ms"},
            },
            "plugins": {"directory": str(self.home), "cache": str(self.home / "cache"), "load": list(plugins)},
        }
        for key, value in (config or {}).items():
            self.settings[key] = value
        self.write_config()

    def write_config(self, text=None):
        """By a rename: a reload may read it at any moment."""
        fresh = self.conf.with_suffix(".new")
        fresh.write_text(text if text is not None else yaml.safe_dump(self.settings))
        fresh.replace(self.conf)

    def start(self, wait=True):
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **self.env}
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [*self.wrap, BINARY, "run", "--config", str(self.conf), *self.flags],
            stdout=self.log,
            stderr=self.log,
            env=env,
        )
        if wait:
            wait_for(lambda: self.ended() or "msg=ready" in self.text(), "the agent is ready")
            assert not self.ended(), f"exit code {self.process.returncode}\n{self.text()}"

    def text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def ended(self):
        return self.process.poll() is not None

    def signal(self, signum):
        self.process.send_signal(signum)

    def stop(self):
        """Ends it with SIGTERM; returns (exit code, seconds)."""
        begin = time.monotonic()
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE)
        return code, time.monotonic() - begin

    def cleanup(self):
        if self.process and not self.ended():
            code, _ = self.stop()
            assert code == 0, f"exit code {code}\n{self.text()[-4000:]}"
        assert "ERROR: AddressSanitizer" not in self.text(), self.text()[-6000:]
        assert "runtime error:" not in self.text(), self.text()[-6000:]
        assert "LeakSanitizer" not in self.text(), self.text()[-6000:]

    def request(self, path, method="GET"):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def api(self, path):
        status, body = self.request("/api/v1/" + path)
        assert status == 200, (status, body)
        return body

    def http(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def plugin(self, name):
        found = [p for p in self.api("status")["plugins"] if p["name"] == name]
        return found[0] if found else None

    def wait_plugin(self, name, state, seconds=PATIENCE):
        return wait_for(
            lambda: (p := self.plugin(name)) and p["state"] == state and p,
            lambda: f"plugin {name} is {state}, but {self.plugin(name)}\n{self.text()[-2000:]}",
            seconds,
        )

    def instances(self):
        """Each NGINX with its health as a word."""
        seen = [i for i in self.api("status")["instances"] if i["instance"]]
        return [{**i["instance"], "health": (i["health"] or {}).get("status")} for i in seen]

    def events(self, topic=None):
        """The kept events, oldest first."""
        return [e for e in self.api("events?last=256")["events"] if topic is None or e["topic"] == topic]

    def wait_event(self, topic, match=lambda e: True, seconds=PATIENCE):
        return wait_for(
            lambda: next((e for e in self.events(topic) if match(e)), None),
            lambda: f"event {topic}; there are {sorted({e['topic'] for e in self.events()})}\n{self.text()[-2000:]}",
            seconds,
        )


SMALL_STACK = ["/bin/sh", "-c", 'ulimit -s 512; exec "$@"', "sh"]


def cli(*args, stdin=None, timeout=60, env=None, wrap=()):
    """Runs the command line, behind the command `wrap`; returns (exit code, stdout bytes, stderr text)."""
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **(env or {})}
    done = subprocess.run(
        [*wrap, BINARY, *map(str, args)], input=stdin, capture_output=True, timeout=timeout, env=env
    )
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


# ---- guests in Wasm text ----


def escape(data):
    return "".join(f"\\{b:02x}" for b in data.encode())


def extism_guest(
    process="(i32.const 0)",
    init=None,
    topics=("nginx.*",),
    info='{"name":"t","version":"1.0.0","api":"1"}',
    subscriptions=None,
    functions="",
    imports="",
    operations=("info", "subscriptions", "process"),
):
    """An Extism guest; `process` and `init` are Wasm expressions that leave an i32 (0: success)."""
    subs = subscriptions if subscriptions is not None else json.dumps({"topics": list(topics)})
    bodies = {
        "info": f"(call $answer (i32.const 0) (i32.const {len(info.encode())})) (i32.const 0)",
        "subscriptions": f"(call $answer (i32.const 1024) (i32.const {len(subs.encode())})) (i32.const 0)",
        "process": process,
    }
    exports = "\n".join(f'(func (export "{name}") (result i32) {bodies[name]})' for name in operations)
    if init is not None:
        exports += f'\n(func (export "init") (result i32) {init})'
    return f"""(module
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (import "extism:host/env" "error_set" (func $error_set (param i64)))
  (import "extism:host/env" "input_offset" (func $input_offset (result i64)))
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/user" "outrider_publish" (func $publish (param i64 i64) (result i64)))
  {imports}
  (memory (export "memory") 2)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 0) "{escape(info)}")
  (data (i32.const 1024) "{escape(subs)}")
  (func $copy (param $at i32) (param $n i32) (result i64)
    (local $i i32) (local $to i64)
    (local.set $to (call $alloc (i64.extend_i32_u (local.get $n))))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
      (call $store_u8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))
                      (i32.load8_u (i32.add (local.get $at) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.get $to))
  (func $answer (param $at i32) (param $n i32)
    (call $output_set (call $copy (local.get $at) (local.get $n)) (i64.extend_i32_u (local.get $n))))
  {functions}
  {exports})
"""


def publish_code(topic, data):
    """Data segments and a function $say that publishes `data` (JSON text) under `topic`."""
    return f"""
  (data (i32.const 4096) "{escape(topic)}")
  (data (i32.const 8192) "{escape(data)}")
  (func $say (result i32)
    (i64.ne (i64.const 0) (call $publish (call $copy (i32.const 4096) (i32.const {len(topic.encode())}))
                                          (call $copy (i32.const 8192) (i32.const {len(data.encode())}))))) """


def write_guest(folder, name, text):
    path = pathlib.Path(folder) / f"{name}.wat"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def entry(path, name=None, **settings):
    """A `load:` entry for the guest at `path`."""
    return {"name": name or pathlib.Path(path).stem, "source": str(path), **settings}
