"""A private machine for hostile processes, containers, rotation and forks: real NGINX, real agent.

`tests/lab/run` gives each test file pid, mount, network and ipc namespaces of its own, so a test may kill, mount, bind and
impersonate as it likes. pytest is process 1 there: ended masters become its children, and stay zombies while
`lab.reap(False)` holds.

    def test_requests_are_counted(lab):
        server = lab.nginx("server { listen 127.0.0.1:8101; location / { return 200 x; } }")
        agent = lab.agent()
        agent.wait_instance(server.pid)
        ...

Folders of NGINX (/etc/nginx, /var/log/nginx, /var/lib/nginx, /run) are empty tmpfs mounts, /etc/nginx a copy. Everything a
test makes lies in `lab.dir`.
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import yaml

BINARY = os.environ.get("OUTRIDER", "build/dev/outrider")
NGINX = "/usr/sbin/nginx"
NOBODY = 65534
PATIENCE = 40.0  # nothing waits for so long but on a busy machine
FORKS = ("nginx", "angie", "openresty", "tengine", "web")


def until(check, what="it happens", seconds=PATIENCE, step=0.02):
    """Calls check() until it gives something true, and returns that. An OSError counts as not yet."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            value = check()
            if value:
                return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(step)


def sh(command, check=True, **options):
    """A shell line, or a list; returns what it printed, errors included."""
    done = subprocess.run(command, shell=isinstance(command, str), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
    return done.stdout


def raw(data, port=8101, host="127.0.0.1", unix=None, timeout=3.0, total=PATIENCE):
    """Sends bytes and returns all that comes back until the end, `timeout` of silence, or `total` seconds (a stream)."""
    end = time.monotonic() + total
    if unix:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(timeout)
        client.connect(str(unix))
    else:
        client = socket.create_connection((host, port), timeout)
    got = b""
    with client:
        client.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
        with contextlib.suppress(socket.timeout, ConnectionError):
            while time.monotonic() < end and (more := client.recv(65536)):
                got += more
    return got


def get(path="/", port=8101, host="127.0.0.1", headers=None):
    """The status of one request; 0 when nothing came back."""
    lines = {"Host": f"{host}:{port}", "Connection": "close", **(headers or {})}
    answer = raw(f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n", port, host)
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else 0


def state_of(pid):
    """The letter of /proc/PID/stat; None: there is no such process."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


class Reaper(threading.Thread):
    """Waits for ended servers that nobody waits for, as an init does; subprocess waits for its own."""

    def __init__(self):
        super().__init__(daemon=True)
        self.on = True
        self.start()

    def run(self):
        while True:
            for entry in filter(str.isdigit, os.listdir("/proc")) if self.on else ():
                with contextlib.suppress(OSError, IndexError):
                    text = pathlib.Path(f"/proc/{entry}/stat").read_text()
                    name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
                    if rest[0] == "Z" and rest[1] == str(os.getpid()) and name.startswith(FORKS):
                        os.waitpid(int(entry), os.WNOHANG)
            time.sleep(0.03)


class Server:
    """An NGINX of its own prefix in `lab.dir`/name."""

    def __init__(self, lab, name, http="", main="", head=None, binary=NGINX, prefix=()):
        self.dir = lab.dir / name
        self.dir.mkdir(parents=True, exist_ok=True)
        self.binary, self.prefix = str(binary), list(prefix)
        self.conf = self.dir / "nginx.conf"
        self.pid_file = self.dir / "nginx.pid"
        self.error_log = self.dir / "error.log"
        self.head = head or f"user root; worker_processes 1; pid {self.pid_file}; error_log {self.error_log} info;"
        self.write(http, main)

    def write(self, http, main=""):
        """A new configuration on disk; reload() makes it count."""
        d = self.dir
        temp = "".join(f"{k}_temp_path {d}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.conf.write_text(f"{self.head}\n{main}\nevents {{ worker_connections 512; }}\nhttp {{\n{temp}\n{http}\n}}\n")

    def start(self, *args, wait=True, **options):
        """Daemonizes unless `args` say otherwise; returns what it printed."""
        said = sh([*self.prefix, self.binary, "-p", str(self.dir), "-c", str(self.conf), *args], **options)
        if wait:
            until(self.takes_signals, f"{self.binary} runs; it said {said}")
        return said

    def takes_signals(self):
        """A master is deaf from its pid file until it waits for signals: one sent in between is noted and not acted upon."""
        pid = self.pid
        return pid and (self.workers(pid) or "master_process off" in self.conf.read_text())

    @property
    def pid(self):
        """The master by the pid file; None before there is one."""
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def workers(self, pid=None):
        text = pathlib.Path(f"/proc/{pid or self.pid}/task/{pid or self.pid}/children").read_text()
        return [int(p) for p in text.split()]

    def signal(self, signum):
        os.kill(self.pid, signum)

    def reload(self):
        """SIGHUP, and waits for a new generation of workers."""
        old = set(self.workers())
        self.signal(signal.SIGHUP)
        until(lambda: (new := set(self.workers())) and not new & old, "new workers")

    def stop(self):
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        until(lambda: state_of(pid) in (None, "Z"), f"NGINX {pid} ends")


class Agent:
    """The agent under test. `extra`: settings (a dict) laid over the usual ones, one level deep."""

    def __init__(self, lab, name="agent", extra=None, interval="300ms", level="debug", port=9180, user=None, env=None,
                 flags=(), wrap=()):
        self.dir = lab.dir / name
        self.dir.mkdir(parents=True, exist_ok=True)
        self.port, self.user, self.env = port, user, env or {}
        self.flags, self.wrap = list(flags), list(wrap)
        self.socket, self.conf, self.log = self.dir / "a.sock", self.dir / "agent.yaml", self.dir / "log.txt"
        self.settings = {
            "log": {"level": level},
            "watchers": {"instance_watcher": {"monitoring_frequency": "300ms"},
                         "instance_health_watcher": {"monitoring_frequency": "300ms"}},
            "outrider": {"admin": {"socket": str(self.socket)}, "status": {"port": port},
                         "metrics": {"interval": interval}},
        }
        for key, value in (extra or {}).items():
            if isinstance(value, dict) and isinstance(self.settings.get(key), dict):
                self.settings[key] = {**self.settings[key], **value}
            else:
                self.settings[key] = value
        self.process = None
        self.kept = []
        self.write()

    def write(self):
        self.conf.write_text(yaml.safe_dump(self.settings))
        if self.user is not None:
            for path in (self.dir, self.conf):
                os.chown(path, self.user, self.user)

    def start(self, wait=True):
        identity = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **self.env}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrap, BINARY, "run", "--config", str(self.conf), "--lib-dir", str(self.dir / "lib"), *self.flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, **identity)
        if wait:
            until(lambda: self.process.poll() is not None or "msg=ready" in self.text(), "the agent is ready")
            assert self.process.poll() is None, self.text()
        return self

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self):
        """SIGTERM; returns the exit code. Fails on what a sanitizer found."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        text = self.text()
        for word in ("ERROR: AddressSanitizer", "runtime error:", "LeakSanitizer"):
            assert word not in text, text[-6000:]
        return code

    def http(self, path, timeout=10):
        """(status, body) of the status page's server."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(client):
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read().decode(errors="replace")

    def api(self, path):
        status, body = self.http("/api/v1/" + path)
        assert status == 200, (status, body)
        return json.loads(body)

    def status(self):
        return self.api("status")

    def instances(self):
        """[{all of the instance, "health": word, "health_text", "metrics": the last sample or None}]"""
        found = []
        for item in self.api("instances"):
            health = item.get("health") or {}
            found.append({**item["instance"], "health": health.get("status"),
                          "health_text": health.get("description"), "metrics": item.get("metrics")})
        return found

    def instance(self, pid):
        return next((i for i in self.instances() if i["pid"] == pid), None)

    def wait_instance(self, pid, match=lambda i: True, seconds=PATIENCE):
        """The instance with this master once match(instance) holds."""
        return until(lambda: (i := self.instance(pid)) and match(i) and i,
                     lambda: f"instance of {pid}; there are {self.instances()}\n{self.text()[-2000:]}", seconds)

    def metrics(self):
        """{series as text: value} of /metrics."""
        found = {}
        for line in self.http("/metrics")[1].splitlines():
            if line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                found[series] = float(value)
        return found

    def series(self, name):
        """{labels as text: value} of one metric."""
        return {k[len(name):]: v for k, v in self.metrics().items() if re.match(re.escape(name) + r"(\{|$)", k)}

    def events(self, topic=None):
        """Every event seen so far, oldest first: the kept ones of the agent, gathered at each call."""
        known = {e["id"] for e in self.kept}
        self.kept += [e for e in self.api("events?last=256")["events"] if e["id"] not in known]
        return [e for e in self.kept if topic is None or e["topic"] == topic]

    def totals(self, id=None):
        """Sums of all samples seen by events(): responses by class and log_lines; "requests" is the last counter."""
        sums = dict.fromkeys(("1xx", "2xx", "3xx", "4xx", "5xx", "log_lines", "samples", "requests_delta"), 0)
        sums["requests"] = None
        for event in self.events("nginx.metrics.sampled"):
            data = event["data"]
            if data is None or (id and data["id"] != id):
                continue
            sums["samples"] += 1
            sums["log_lines"] += data["log_lines"]
            sums["requests_delta"] += data["requests_delta"]
            for key, value in (data["responses"] or {}).items():
                sums[key] += value
            if data["status_ok"]:
                sums["requests"] = data["requests"]
        return sums

    def samples(self, n=2, id=None):
        """Waits until `n` more samples (of the instance `id`) have been published; returns totals()."""
        begin = self.totals(id)["samples"]
        until(lambda: self.totals(id)["samples"] >= begin + n, f"{n} samples", step=0.05)
        return self.totals(id)

    def cli(self, *args, timeout=30):
        """(exit code, what it printed) of `outrider ARGS --socket …`."""
        done = subprocess.run([BINARY, *map(str, args), "--socket", str(self.socket)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
                              env={**os.environ, "ASAN_OPTIONS": "detect_leaks=1"})
        return done.returncode, done.stdout

    def cpu(self):
        """Seconds of processor time so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Lab:
    """One clean machine; close() ends every process in it and takes its mounts away."""

    reaper = None
    prepared = False

    def __init__(self):
        assert os.getpid() == 1, "run this through tests/lab/run"
        if not Lab.prepared:
            self.prepare()
        Lab.reaper = Lab.reaper or Reaper()
        self.dir = pathlib.Path("/run/lab")
        self.dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.agents = []
        self.mounts = []

    @staticmethod
    def prepare():
        sh("mkdir -p /mnt && mount -t tmpfs tmpfs /mnt && cp -a /etc/nginx /mnt/nginx && mount --bind /mnt/nginx /etc/nginx")
        for path in ("/var/log/nginx", "/var/lib/nginx", "/run"):
            sh(f"mkdir -p {path} && mount -t tmpfs -o mode=755 tmpfs {path}")
        Lab.prepared = True

    def reap(self, on):
        """False: ended masters stay zombies, as under a process 1 that never waits."""
        Lab.reaper.on = on

    def nginx(self, http="", name="n", start=True, args=(), **options):
        server = Server(self, name, http, **options)
        if start:
            server.start(*args)
        return server

    def agent(self, *args, start=True, **options):
        agent = Agent(self, *args, **options)
        self.agents.append(agent)
        return agent.start() if start else agent

    def put(self, name, text, mode=0o644, owner=None):
        """A file in `lab.dir`; returns its path."""
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        if owner is not None:
            os.chown(path, owner, owner)
        return path

    def compile(self, name, source, *flags):
        """A small C program in `lab.dir`."""
        path, text = self.dir / name, self.put(name + ".c", source)
        sh(["gcc", "-O1", "-o", str(path), str(text), *flags])
        return path

    def mount(self, what, where):
        """mount(8) with the words of `what`; taken away at the end."""
        pathlib.Path(where).mkdir(parents=True, exist_ok=True)
        sh(f"mount {what} {where}")
        self.mounts.append(str(where))

    def netns(self, name):
        """Another network namespace with a loopback device; returns words to put before a command."""
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        sh(f"ip netns add {name} && ip netns exec {name} ip link set lo up")
        return ["ip", "netns", "exec", name]

    def close(self):
        failed = None
        for agent in self.agents:
            try:
                code = agent.stop()
                assert code in (0, None), f"exit code {code}\n{agent.text()[-4000:]}"
            except AssertionError as error:
                failed = failed or error
        self.end_processes()
        for where in reversed(self.mounts):
            sh(f"umount -l {where}", check=False)
        for entry in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
            sh(f"ip netns delete {entry}", check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        self.reap(True)
        if failed:
            raise failed

    @staticmethod
    def end_processes():
        """Everything else in this pid namespace."""
        def others():
            return [int(p) for p in os.listdir("/proc") if p.isdigit() and p != "1"]

        def gone():
            for pid in others():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            return not others()

        until(gone, "all processes have ended")
