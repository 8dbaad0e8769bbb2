"""`outrider config` as an operator types it: apply, look, compare, go back, export."""

import contextlib
import io
import json
import os
import pty
import subprocess
import tarfile

import pytest
from lab import BINARY, get, until

PORT = 8101
ONE = f"server {{ listen 127.0.0.1:{PORT}; location / {{ return 201; }} }}\n"
TWO = f"server {{ listen 127.0.0.1:{PORT}; location / {{ return 202; }} }}\n"
THREE = f"server {{ listen 127.0.0.1:{PORT}; location / {{ return 203; }} }}\n"
KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"


class Site:
    """An NGINX whose server stands in conf.d/site.conf, an agent that may change it, and the one who types."""

    def __init__(self, lab):
        self.lab = lab
        self.server = lab.nginx(self.http(lab))
        self.dir = self.server.dir
        self.file = self.dir / "conf.d" / "site.conf"
        self.agent = lab.agent(extra={"allowed_directories": [str(self.dir)]})
        self.agent.wait_instance(self.server.pid)
        until(lambda: self.run("show", "nginx")[0] == 0, lambda: str(self.run("show", "nginx")))

    @staticmethod
    def http(lab):
        folder = lab.dir / "n" / "conf.d"
        folder.mkdir(parents=True)
        (folder / "site.conf").write_text(ONE)
        return f"include {folder}/*.conf;"

    def run(self, *words, stdin=None):
        """(exit code, standard output, standard error)"""
        done = subprocess.run([BINARY, "config", *map(str, words), "--socket", str(self.agent.socket)], input=stdin,
                              capture_output=True, timeout=60, env={**os.environ, "TMPDIR": str(self.lab.dir)})
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def ok(self, *words, stdin=None, code=0):
        got, out, err = self.run(*words, stdin=stdin)
        assert got == code, f"{words}: {got}\n{out}\n{err}\n{self.agent.text()[-3000:]}"
        return out + err

    def json(self, *words, code=0):
        got, out, err = self.run(*words, "--json")
        assert got == code, f"{words}: {got}\n{out}\n{err}"
        return json.loads(out)

    def put(self, text, *words, code=0):
        return self.ok("apply", "-", "--to", "conf.d/site.conf", *words, stdin=text.encode(), code=code)

    def serves(self, status):
        until(lambda: get(port=PORT) == status, f"{status} is served")


def drifted(site):
    """Names of the files that somebody else than the agent changed."""
    items = site.agent.api("config/drift")["instances"]
    return [f["path"] for i in items for f in i["files"]]


@pytest.fixture
def site(lab):
    return Site(lab)


def test_apply_history_diff_rollback_export(site):
    said = site.put(TWO, "--message", "twice as good")
    assert "applied (#1" in said and "conf.d/site.conf" in said
    site.serves(202)
    folder = site.lab.dir / "given"
    (folder / "conf.d").mkdir(parents=True)
    (folder / "conf.d" / "site.conf").write_text(THREE)
    (folder / "conf.d" / "more.conf").write_text("# more\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("hidden\n")
    site.ok("apply", folder)
    site.serves(203)
    assert not (site.dir / ".git").exists()

    rows = site.json("history")["changes"]
    assert [r["number"] for r in rows] == [2, 1]
    assert [r["result"] for r in rows] == ["applied", "applied"]
    assert rows[1]["message"] == "twice as good" and rows[1]["who"]["uid"] == 0 and rows[1]["who"]["name"] == "root"
    assert rows[0]["version_before"] == rows[1]["version_after"]
    one = site.json("history", "2")
    assert [(i["action"], os.path.basename(i["path"])) for i in one["items"]] == [("add", "more.conf"), ("update", "site.conf")]
    assert one["steps"] and one["items"][1]["before"]["digest"] != one["items"][1]["after"]["digest"]
    assert "twice as good" in site.ok("history") and "site.conf" in site.ok("history", "1")

    assert site.ok("show", "nginx", "conf.d/site.conf", "--version", "1") == TWO
    assert "more.conf" not in site.ok("show", "nginx", "--version", "1")
    text = site.ok("diff", "1", "2", code=1)
    assert "-server" in text and "return 203" in text and "+# more" in text
    assert site.ok("diff") == ""
    site.file.write_text(THREE + "# by hand\n")
    assert "+# by hand" in site.ok("diff", code=1)
    assert "changed" in site.ok("show", "nginx")

    said = site.ok("rollback")
    assert "applied (#3" in said
    site.serves(202)
    assert site.file.read_text() == TWO and not (site.dir / "conf.d" / "more.conf").exists()
    assert site.json("history", "3")["of"] == rows[1]["version_after"]
    site.ok("rollback", "2")
    site.serves(203)
    assert site.ok("rollback", "2") and site.json("history")["changes"][0]["result"] == "unchanged"

    tar = site.lab.dir / "v.tar"
    site.ok("export", "1", "-o", tar)
    assert tar.stat().st_mode & 0o777 == 0o600
    with tarfile.open(tar) as archive:
        names = archive.getnames()
        assert str(site.file)[1:] in names and str(site.server.conf)[1:] in names
        assert archive.extractfile(str(site.file)[1:]).read() == TWO.encode()
    again = site.lab.dir / "w.tar"
    site.ok("export", rows[1]["version_after"][:12], "-o", again)
    assert again.read_bytes() == tar.read_bytes()
    assert subprocess.run(["tar", "-tf", tar], capture_output=True, check=True).stdout.decode().split() == names
    site.ok("apply", again, "--to", "/")
    site.serves(202)


def test_a_terminal_sees_the_steps(site):
    conf = site.lab.dir / "x.conf"
    conf.write_text(TWO)
    seen = b""
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BINARY, [BINARY, "config", "apply", str(conf), "--to", "conf.d/site.conf", "--socket", str(site.agent.socket)])
    with contextlib.suppress(OSError):
        while part := os.read(fd, 4096):
            seen += part
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    text = seen.decode()
    assert all(f"  {step}" in text for step in ("plan", "test", "reload", "proof")) and "applied" in text, text


def test_what_is_refused_leaves_all_as_it_is(site):
    said = site.put("server { nonsense; }\n", code=1)
    assert "invalid" in said and "unknown directive" in said and "site.conf:1" in said
    assert site.file.read_text() == ONE and get(port=PORT) == 201
    assert "planned" in site.put(TWO, "--dry-run")
    assert "return 202" in site.ok("check", "-", "--to", "conf.d/site.conf", stdin=TWO.encode())
    given = site.lab.dir / "given.conf"
    given.write_text(TWO)
    assert "+server" in site.ok("diff", "--against", given, "--to", "conf.d/site.conf", code=1)
    given.write_text(ONE)
    assert site.ok("diff", "--against", given, "--to", "conf.d/site.conf") == ""
    assert site.file.read_text() == ONE
    said = site.put(TWO, "--probe", f"http://127.0.0.1:{PORT}/=299", code=3)
    assert "rolled back" in said
    site.serves(201)
    assert "unchanged" in site.put(ONE)
    results = [r["result"] for r in site.json("history")["changes"]]
    assert results[-1] == "invalid" and "rolled-back" in results and "planned" not in results


def test_wrong_words_and_no_agent(site):
    conf = site.lab.dir / "x.conf"
    conf.write_text("# x\n")
    os.mkfifo(site.lab.dir / "fifo")
    for words, says in [(("apply",), "what is to be applied"), (("apply", "/nowhere"), "/nowhere"),
                        (("apply", conf), "--to"), (("apply", conf, conf, "--to", "a.conf"), "end it in '/'"),
                        (("apply", conf, "--nope"), "--nope"), (("apply", site.lab.dir / "fifo", "--to", "a"), "fifo"),
                        (("rollback",), "no such version"), (("rollback", "99"), "99"), (("history", "99"), "99"),
                        (("history", "x/y"), "is no change"), (("export", "abcdef01", "-o", conf), "abcdef01"),
                        (("show", "zzzz"), "no NGINX is called"), (("apply", conf, "--to", "a.conf", "--probation", "x"), "x"),
                        (("apply", conf, "--to", "/etc/outside.conf"), "/etc/outside.conf")]:
        code, out, err = site.run(*words)
        assert code in (1, 2) and says in err + out, f"{words}: {code} {out} {err}"
    assert conf.read_text() == "# x\n"
    assert not os.path.exists("/etc/outside.conf")
    site.agent.stop()
    assert site.run("history")[0] == 5
    assert site.run("apply", conf, "--to", "conf.d/a.conf")[0] == 5


def test_a_tar_deletes_and_keys(site):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, text, mode in [("conf.d/site.conf", TWO, 0o644), ("keys/site.key", KEY, 0o600)]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), mode
            archive.addfile(member, io.BytesIO(text.encode()))
    (site.dir / "keys").mkdir()
    site.ok("apply", "-", "--attributes", "mode", stdin=raw.getvalue())
    site.serves(202)
    key = site.dir / "keys" / "site.key"
    assert key.read_text() == KEY and key.stat().st_mode & 0o777 == 0o600
    code, out, err = site.run("show", "nginx", key)
    assert code == 2 and "not shown" in err and "c2Vj" not in out
    site.ok("apply", "--delete", "keys/site.key")
    assert not key.exists()
    said = site.ok("diff", "1", "2", code=1)
    assert "not shown" in said and "c2Vj" not in said
    site.ok("rollback", "1")
    assert key.read_text() == KEY and key.stat().st_mode & 0o777 == 0o600
    history = site.agent.dir / "lib" / "history.db"
    assert history.stat().st_mode & 0o777 == 0o600


def test_a_history_that_cannot_be_used_is_said_and_changes_go_on(site):
    site.put(TWO)
    site.agent.stop()
    history = site.agent.dir / "lib" / "history.db"
    history.write_bytes(b"no database" * 1000)
    site.agent.start()
    site.agent.wait_instance(site.server.pid)
    until(lambda: "put aside" in json.dumps(site.agent.status()), "it is said")
    assert (history.parent / "history.db.damaged").exists()
    assert site.json("history")["changes"] == []
    site.agent.stop()
    for name in ("history.db", "history.db-wal", "history.db-shm"):
        (history.parent / name).unlink(missing_ok=True)
    history.mkdir()
    site.agent.start()
    site.agent.wait_instance(site.server.pid)
    until(lambda: "not a regular file" in json.dumps(site.agent.status()), "it is said")
    assert "not in the history" in site.put(THREE)
    site.serves(203)
    assert site.run("history")[0] == 5
    history.rmdir()
    site.put(ONE)
    assert site.json("history")["changes"][0]["result"] == "applied"
    until(lambda: "config history" not in json.dumps(site.agent.status()), "it is over")


def test_the_result_of_a_large_change_is_told(site):
    folder = site.lab.dir / "given" / "conf.d"
    folder.mkdir(parents=True)
    for i in range(1100):
        (folder / f"m{i}.conf").write_text(f"# {i}\n")
    assert "applied (#1" in site.ok("apply", folder.parent)
    assert len(os.listdir(site.dir / "conf.d")) == 1101


def test_a_version_of_linked_sites_can_be_gone_back_to(lab):
    """As Debian has it: conf.d is full of links, and what is changed is what they lead to."""
    folder = lab.dir / "n" / "conf.d"
    (lab.dir / "n" / "sites-available").mkdir(parents=True)
    real = lab.dir / "n" / "sites-available" / "site"
    site = Site(lab)
    real.write_text(ONE)
    site.file.unlink()
    site.file.symlink_to("../sites-available/site")
    site.server.reload()
    for text, code in ((TWO, 202), (THREE, 203), (ONE, 201)):
        site.ok("apply", "-", "--to", "sites-available/site", stdin=text.encode())
        site.serves(code)
    real.write_text(TWO)  # by hand
    until(lambda: len(drifted(site)) == 2, lambda: str(drifted(site)))
    site.ok("apply", "-", "--to", "sites-available/site", stdin=THREE.encode())
    site.ok("apply", "-", "--to", "conf.d/more.conf", stdin=b"# more\n")
    site.ok("rollback")
    until(lambda: not drifted(site), lambda: str(drifted(site)))
    site.ok("rollback", "2")
    site.serves(203)
    assert folder.joinpath("site.conf").is_symlink() and real.read_text() == THREE
