"""Access logs of a real NGINX: hostile lines, long lines, rotation in every style, and files that are none."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from lab import NOBODY, get, raw, sh, until

CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


def settled(agent):
    """The totals once two more samples brought no more lines."""
    def still():
        before = agent.totals()["log_lines"]
        after = agent.samples(2)
        return after if after["log_lines"] == before else None
    return until(still, "no more lines", seconds=60)


def unparsed(agent):
    return sum(e["data"]["log_unparsed"] for e in agent.events("nginx.metrics.sampled") if e["data"])


def reasons(agent):
    return " ".join(str(reason) for reason in agent.status()["reasons"])


def start(lab, http, main="", **options):
    server = lab.nginx(http, main=main)
    agent = lab.agent(**options)
    agent.wait_instance(server.pid, lambda i: i["metrics"])
    return server, agent


# ---- lines ----

VARIABLES = ("$remote_addr", "$remote_user", "$time_local", "$time_iso8601", "$msec", "$request", "$request_uri",
             "$request_method", "$http_user_agent", "$http_referer", "$http_x", "$cookie_c", "$arg_a", "$host", "$http_host",
             "$body_bytes_sent", "$bytes_sent", "$request_time", "$request_length", "$upstream_status", "$upstream_addr",
             "$upstream_response_time", "$server_protocol", "$scheme", "$connection", "$pipe", "$content_type", "$request_id")
RAW_VARIABLES = ("$uri", "$my_text", "$request_filename")  # decoded: with line ends where nothing is escaped


def random_format(rnd):
    """(escape, text, may hold line ends)"""
    escape = rnd.choice(("default", "json", "none"))
    names = [rnd.choice(VARIABLES + (RAW_VARIABLES if escape != "none" or rnd.random() < 0.2 else ()))
             for _ in range(rnd.randint(1, 9))]
    names.insert(rnd.randint(0, len(names)), "$status")
    style = rnd.choice(("json", "quoted", "some quoted", "blanks", "tabs", "pipes", "brackets"))
    if style == "json":
        text = "{" + ",".join(f'"{n[1:]}{i}":"{n}"' if rnd.random() < 0.8 else f'"{n[1:]}{i}": {n}'
                              for i, n in enumerate(names)) + "}"
    elif style == "some quoted":
        text = " ".join(f'"{n}"' if rnd.random() < 0.5 else n for n in names)
    else:
        left, right, between = {"quoted": ('"', '"', " "), "blanks": ("", "", " "), "tabs": ("", "", "\\t"),
                                "pipes": ("", "", "|"), "brackets": ("[", "]", " - ")}[style]
        text = between.join(f"{left}{n}{right}" for n in names)
    return escape, text, escape == "none" and any(n in RAW_VARIABLES for n in names)


PIECES = ('"', "\\", "\\x22", '\\"', " 200 ", " 500 ", '" 503 ', "404", '","status":"500"', '"status":502,', "|", "] - [500] - [",
          "\t500\t", "HTTP/1.1 ", "GET / HTTP/1.1 500 1 ", "1.2.3.4", "0.001", "-", " - ", "502, 200", "a", "ü", "\u20ac", "{", "}",
          "\\u0022", "x" * 300, "status=503 ", "''", "%22", "%0a500%20", "$status")


def hostile(rnd, most=6, banned="\r\n"):
    text = "".join(rnd.choice(PIECES) for _ in range(rnd.randint(0, most)))
    return "".join(c for c in text if c not in banned)


def request_of(rnd):
    """(bytes of one request)"""
    kind = rnd.random()
    if kind < 0.1:  # no HTTP at all
        return (bytes(rnd.randrange(1, 256) for _ in range(rnd.randint(1, 40))).replace(b"\n", b"x") + b" 500 1 \r\n\r\n")
    if kind < 0.15:
        return f"GET /{hostile(rnd)} HTTP/1.1\r\n\r\n".encode()
    path = rnd.choice(("/", "/missing", "/five", "/moved", "/up", "/up2", "/empty"))
    query = "?a=" + hostile(rnd, 3, "\r\n\t #\"") if rnd.random() < 0.4 else ""
    lines = [f"{rnd.choice(('GET', 'HEAD', 'POST', 'X-Y'))} {path}{query} HTTP/1.1", "Host: a", "Connection: close",
             f"User-Agent: {hostile(rnd)}"]
    if rnd.random() < 0.7:
        lines.append(f"Referer: {hostile(rnd)}")
    if rnd.random() < 0.5:
        lines += [f"X: {hostile(rnd)}", f"Cookie: c={hostile(rnd, 3)}", f"Content-Type: {hostile(rnd, 2)}"]
    if rnd.random() < 0.3:
        import base64
        lines.append("Authorization: Basic " + base64.b64encode(f"{hostile(rnd, 3)} 200 5:x".encode()).decode())
    if rnd.random() < 0.05:
        lines.append("Cookie: d=" + "y" * 7000)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def upstream(port, status):
    """A server that answers one status."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)

    def serve():
        while True:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.settimeout(2)
                    client.recv(65536)
                    client.sendall(f"HTTP/1.0 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
    threading.Thread(target=serve, daemon=True).start()


def quoted(text):
    return "'" + text.replace("'", "\\'") + "'"


@pytest.mark.parametrize("seed", range(6))
def test_random_lines_of_random_formats_are_counted_right_or_not_at_all(lab, seed):
    rnd = random.Random(seed)
    upstream(9101 + 2 * seed, 200)
    upstream(9102 + 2 * seed, 500)
    formats = [random_format(rnd) for _ in range(12)]
    http = "map $uri $my_text { default $uri; }\n"
    http += (f"upstream both {{ server 127.0.0.1:{9102 + 2 * seed} max_fails=0; server 127.0.0.1:{9101 + 2 * seed} max_fails=0; }}\n"
             "proxy_next_upstream error timeout http_500;\n")
    for i, (escape, text, _) in enumerate(formats):
        http += f"log_format f{i} escape={escape} {quoted(text)};\n"
        http += (f"server {{ listen 127.0.0.1:{8201 + i}; access_log {lab.dir}/f{i}.log f{i}; location / {{ return 200 x; }}\n"
                 "location = /missing { return 404; } location = /five { return 503; } location = /moved { return 301 /; }\n"
                 f"location = /empty {{ return 204; }} location = /up {{ proxy_pass http://127.0.0.1:{9102 + 2 * seed}; }}\n"
                 "location = /up2 { proxy_pass http://both; } }\n")
    server = lab.nginx(http)
    agent = lab.agent()
    agent.wait_instance(server.pid, lambda i: i["metrics"])
    before, doubtful = settled(agent), unparsed(agent)
    decided = asked_all = 0
    for i, (escape, text, line_ends) in enumerate(formats):
        asked = dict.fromkeys(CLASSES, 0)
        for _ in range(40):
            answer = raw(request_of(rnd), 8201 + i)
            if answer.startswith(b"HTTP/"):
                asked[answer[9:10].decode() + "xx"] += 1
            elif answer == b"x":  # HTTP/0.9
                pass
        after, unknown = settled(agent), unparsed(agent)
        got = {c: after[c] - before[c] for c in CLASSES}
        lost, lines = unknown - doubtful, after["log_lines"] - before["log_lines"]
        before, doubtful = after, unknown
        what = f"escape={escape} {text}: asked {asked}, counted {got}, {lost} of {lines} lines unparsed"
        assert all(got[c] <= asked[c] for c in CLASSES), what
        if line_ends:
            assert sum(got.values()) == 0 and lost == lines, what
        else:
            assert sum(asked.values()) - sum(got.values()) <= lost, what
            decided += sum(got.values())
            asked_all += sum(asked.values())
        if escape != "none" and '"$status"' in text and text.count('"$') == text.count("$"):
            assert got == asked and lost == 0, what  # all quoted: nothing is in doubt
    assert decided > asked_all / 2


def test_a_client_cannot_hide_behind_a_long_line(lab):
    log = lab.dir / "a.log"
    server, agent = start(lab, f"""large_client_header_buffers 8 512k; access_log {log};
        log_format tail '$http_user_agent $http_referer $status';
        server {{ listen 127.0.0.1:8101; location / {{ return 503; }} }}
        server {{ listen 127.0.0.1:8102; access_log {log}.tail tail; location / {{ return 503; }} }}""")
    before = settled(agent)
    long = '"' * 400000  # each is four bytes in the log
    for port in (8101, 8102):
        assert get("/", port) == 503
        assert get("/", port, headers={"User-Agent": long}) == 503
        assert get("/", port, headers={"User-Agent": long, "Referer": " 200 " + long}) == 503
    after = settled(agent)
    assert max(len(line) for line in open(log, "rb")) > 3_000_000
    assert (after["5xx"] - before["5xx"], after["log_lines"] - before["log_lines"]) == (6, 6)


def test_lines_of_two_formats_in_one_file(lab):
    server, agent = start(lab, f"""log_format js escape=json '{{"s":"$status","r":"$request"}}';
        server {{ listen 127.0.0.1:8101; access_log {lab.dir}/a.log; location / {{ return 200 x; }} }}
        server {{ listen 127.0.0.1:8102; access_log {lab.dir}/a.log js; location / {{ return 404; }} }}""")
    before = settled(agent)
    for _ in range(5):
        get("/", 8101)
        get("/", 8102)
    after = settled(agent)
    assert (after["2xx"] - before["2xx"], after["4xx"] - before["4xx"]) == (5, 5)


def test_a_variable_ends_with_its_word(lab):
    server, agent = start(lab, f"""log_format words '$remote_addr $status' 'x $request_uri'; access_log {lab.dir}/a.log words;
        server {{ listen 127.0.0.1:8101; location / {{ return 404; }} }}""")
    before = settled(agent)
    for _ in range(5):
        get("/500x")
    assert settled(agent)["4xx"] - before["4xx"] == 5


def test_lines_that_fit_no_format_are_a_reason(lab):
    log = lab.dir / "a.log"
    server, agent = start(lab, f"access_log {log}; server {{ listen 127.0.0.1:8101; }}")
    settled(agent)
    with open(log, "a") as file:
        file.write("nothing that NGINX wrote\n" * 20)
    until(lambda: "do not fit the log_format" in reasons(agent), lambda: reasons(agent))
    assert unparsed(agent) == 20


def test_a_format_that_cannot_be_decided_gives_a_reason_and_no_series(lab):
    server, agent = start(lab, f"""log_format raw escape=none '$uri $status'; access_log {lab.dir}/a.log raw;
        server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}""")
    until(lambda: "may hold line ends" in reasons(agent), lambda: reasons(agent))
    assert get("/a%0a/b%20500") == 200
    after = settled(agent)
    assert [after[c] for c in CLASSES] == [0] * 5
    assert not agent.series("nginx_http_response_count")


# ---- rotation ----

STYLES = {
    "create, USR1": "create 0644 root root\npostrotate\n kill -USR1 $(cat {pid})\nendscript",
    "create, USR1 after a second": "create\npostrotate\n sleep 1; kill -USR1 $(cat {pid})\nendscript",
    "compressed at once": "compress\ncreate\npostrotate\n kill -USR1 $(cat {pid})\nendscript",
    "compressed at once, late USR1": "compress\ncreate\npostrotate\n sleep 1; kill -USR1 $(cat {pid})\nendscript",
    "dates, compressed later": "dateext\ndateformat -%s\ncompress\ndelaycompress\ncreate\npostrotate\n"
                               " kill -USR1 $(cat {pid})\nendscript",
    "copytruncate": "copytruncate",
    "copytruncate, compressed": "copytruncate\ncompress",
    "nocreate, HUP": "nocreate\npostrotate\n kill -HUP $(cat {pid})\nendscript",
    "olddir": "olddir {old}\ncreate\npostrotate\n kill -USR1 $(cat {pid})\nendscript",
    "extension": "extension .log\ncreate\npostrotate\n kill -USR1 $(cat {pid})\nendscript",
}


def lines_in(folder):
    count = 0
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".gz"):
            count += int(sh(f"zcat {path} | wc -l"))
        elif path.is_file():
            count += sum(1 for _ in open(path, "rb"))
    return count


class Traffic(threading.Thread):
    """Requests, one connection after the other, until it is stopped."""

    def __init__(self, port=8101):
        super().__init__(daemon=True)
        self.port, self.sent, self.on = port, 0, True
        self.start()

    def run(self):
        while self.on:
            with contextlib.suppress(OSError):
                answers = raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 9 +
                              "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", self.port)
                self.sent += answers.count(b"HTTP/1.1 200")
            time.sleep(0.004)

    def stop(self):
        self.on = False
        self.join()


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="no logrotate")
@pytest.mark.parametrize("style", STYLES)
def test_rotation_loses_no_line_that_is_in_the_files(lab, style):
    logs, old = lab.dir / "logs", lab.dir / "logs" / "old"
    old.mkdir(parents=True)
    server, agent = start(lab, f"keepalive_requests 100000; access_log {logs}/a.log;"
                               "server { listen 127.0.0.1:8101; location / { return 200 x; } }", interval="500ms")
    before = settled(agent)
    conf = lab.put("rotate.conf", f"{logs}/a.log {{\nrotate 20\n" + STYLES[style].format(pid=server.pid_file, old=old) + "\n}\n")
    traffic = Traffic()
    for _ in range(3):
        time.sleep(1.1)
        sh(f"logrotate -f -s {lab.dir}/state {conf}")
    time.sleep(0.5)
    traffic.stop()
    after = settled(agent)
    assert traffic.sent > 300
    counted = after["2xx"] - before["2xx"]
    assert counted == after["log_lines"] - before["log_lines"]
    # Truncation loses lines that no file has, and so does what compresses before NGINX reopened.
    assert counted <= traffic.sent
    if lines_in(logs) > counted:
        # A copy that was compressed and deleted before the agent had a turn of the processor cannot be read.
        assert style == "copytruncate, compressed" and "a.log was " in reasons(agent), (counted, reasons(agent))
    if not style.startswith("copytruncate"):
        assert counted == traffic.sent


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="no logrotate")
@pytest.mark.parametrize("style", ("create, USR1", "copytruncate", "copytruncate, compressed", "compressed at once",
                                   "nocreate, HUP", "extension"))
def test_rotations_while_the_agent_has_no_turn_are_made_up_for_or_said(lab, style):
    logs = lab.dir / "logs"
    logs.mkdir()
    server, agent = start(lab, f"access_log {logs}/a.log; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}")
    before = settled(agent)
    conf = lab.put("rotate.conf", f"{logs}/a.log {{\nrotate 20\n" + STYLES[style].format(pid=server.pid_file, old="") + "\n}\n")
    agent.process.send_signal(signal.SIGSTOP)
    sent = 0
    for turn in range(4):
        for _ in range(5):
            assert get(f"/{turn}") == 200
            sent += 1
        if turn < 3:
            sh(f"logrotate -f -s {lab.dir}/state {conf}")
            until((logs / "a.log").exists, "NGINX reopens its log")
    agent.process.send_signal(signal.SIGCONT)
    counted = settled(agent)["2xx"] - before["2xx"]
    assert counted <= sent
    if counted < sent:  # only where what was in between is compressed before the agent saw it
        assert "compressed" in style and "access log" in reasons(agent), (counted, reasons(agent))


def test_a_deleted_log_is_counted_until_nginx_reopens(lab):
    log = lab.dir / "a.log"
    server, agent = start(lab, f"access_log {log}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}")
    before = settled(agent)
    log.unlink()
    for _ in range(5):
        get("/")
    assert settled(agent)["2xx"] - before["2xx"] == 5
    until(lambda: "still writes to the old file" in reasons(agent), lambda: reasons(agent))
    server.signal(10)  # USR1
    until(log.exists, "NGINX reopens its log")
    for _ in range(5):
        get("/")
    assert settled(agent)["2xx"] - before["2xx"] == 10
    until(lambda: "a.log" not in reasons(agent), lambda: reasons(agent))


def test_truncation_without_a_copy_is_said(lab):
    log = lab.dir / "a.log"
    server, agent = start(lab, f"access_log {log}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}")
    get("/")
    settled(agent)
    os.truncate(log, 0)
    until(lambda: "was truncated and no copy" in reasons(agent), lambda: reasons(agent))


def test_a_folder_that_is_replaced_is_followed(lab):
    folder = lab.dir / "logs"
    folder.mkdir()
    server, agent = start(lab, f"access_log {folder}/a.log; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}")
    before = settled(agent)
    for turn in range(3):
        agent.samples(2)
        get("/")
        folder.rename(lab.dir / f"logs{turn}")
        folder.mkdir()
        get("/")  # into the old folder
        server.signal(10)
        until((folder / "a.log").exists, "NGINX reopens its log")
        get("/")
    assert settled(agent)["2xx"] - before["2xx"] == 9


# ---- files that are none, and many of them ----

@pytest.mark.parametrize("kind", ("link to /dev/stdout", "pipe", "unreadable", "unreadable folder"))
def test_what_cannot_be_read_is_a_reason_and_no_series_of_zeros(lab, kind):
    folder = lab.dir / "logs"
    folder.mkdir()
    log = folder / "a.log"
    keep = None
    if kind == "pipe":
        os.mkfifo(log)
        keep = os.open(log, os.O_RDWR)
    server = lab.nginx(f"access_log {log}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}")
    if kind == "link to /dev/stdout":
        log.unlink()
        log.symlink_to("/dev/stdout")
    elif kind == "unreadable":
        log.chmod(0o640)
    elif kind == "unreadable folder":
        folder.chmod(0o700)
    agent = lab.agent(user=NOBODY if kind.startswith("unreadable") else None)
    agent.wait_instance(server.pid, lambda i: i["metrics"])
    get("/")
    until(lambda: "a.log" in reasons(agent), lambda: reasons(agent))
    assert not agent.series("nginx_http_response_count")
    assert agent.status()["state"] != "ok"
    if keep is not None:
        os.close(keep)


def test_permission_that_is_lost_and_comes_back_loses_no_line(lab):
    log = lab.dir / "a.log"
    server = lab.nginx(f"access_log {log}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}")
    log.chmod(0o640)
    agent = lab.agent(user=NOBODY)
    agent.wait_instance(server.pid, lambda i: i["metrics"])
    until(lambda: "a.log" in reasons(agent), lambda: reasons(agent))
    for _ in range(5):
        get("/")
    log.chmod(0o644)
    until(lambda: agent.totals()["2xx"] == 5, "the lines since the agent's start")
    until(lambda: "a.log" not in reasons(agent), lambda: reasons(agent))


def many_logs(lab, n):
    folder = lab.dir / "vh"
    folder.mkdir()
    http = "server_names_hash_max_size 65536; server { listen 127.0.0.1:8101 default_server; access_log off; }\n"
    http += "".join(f"server {{ listen 127.0.0.1:8101; server_name h{i}.test; access_log {folder}/{i}.log; "
                    "location / { return 200 x; } }\n" for i in range(n))
    return folder, lab.nginx(http, main="worker_rlimit_nofile 20000;")


def test_more_logs_than_descriptors_are_all_counted_also_when_they_rotate(lab):
    n = 1500
    folder, server = many_logs(lab, n)
    agent = lab.agent(wrap=["prlimit", "--nofile=700:700"], level="info")
    agent.wait_instance(server.pid, lambda i: i["metrics"])
    before = settled(agent)

    def ask(hosts):
        for i in hosts:
            get("/", headers={"Host": f"h{i}.test"})

    ask(range(0, n, 10))
    assert settled(agent)["2xx"] - before["2xx"] == n // 10
    ask(range(0, n, 7))
    for i in range(n):
        (folder / f"{i}.log").rename(folder / f"{i}.log.1")
    ask(range(0, n, 10))  # into the renamed files
    server.signal(10)
    until(lambda: (folder / f"{n - 1}.log").exists(), "NGINX reopens its logs")
    time.sleep(0.5)
    ask(range(0, n, 10))
    total = sum(len(range(0, n, step)) for step in (10, 7, 10, 10))
    assert settled(agent)["2xx"] - before["2xx"] == total
    assert agent.descriptors() < 600
    assert "descriptors" not in reasons(agent)


def test_files_beside_quiet_logs_cost_nothing(lab):
    folder, server = many_logs(lab, 500)
    agent = lab.agent(interval="60s", level="info")
    agent.wait_instance(server.pid)
    time.sleep(1)
    before = agent.cpu()
    for i in range(1500):
        path = folder / f"sess_{i}"
        path.touch()
        path.unlink()
        time.sleep(0.001)
    assert agent.cpu() - before < 0.5  # with sanitizers
