"""Files of a configuration that somebody else than the agent changed: noticed, attributed, adopted."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from lab import sh, until

CONF = "# {}\nmap $host ${} {{ default x; }}\n"


class Site:
    """An NGINX with a folder of includes, links to sites, a plain include and a certificate; and an agent beside it."""

    def __init__(self, lab, agent=True, **options):
        self.lab, self.options = lab, options
        self.dir = lab.dir / "site"
        for name in ("conf.d", "sites-available", "sites-enabled"):
            (self.dir / name).mkdir(parents=True)
        for name in ("a", "b", "c"):
            self.path(f"conf.d/{name}.conf").write_text(CONF.format(name, name))
        self.path("plain.conf").write_text("# plain\n")
        self.path("sites-available/one").write_text("# one\n")
        self.path("sites-enabled/one").symlink_to("../sites-available/one")
        sh(f"openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=x -keyout {self.dir}/k.pem -out {self.dir}/c.pem"
           " 2>/dev/null")
        self.server = lab.nginx(f"include {self.dir}/conf.d/*.conf; include {self.dir}/plain.conf;"
                                f" include {self.dir}/sites-enabled/*;"
                                f" server {{ listen 127.0.0.1:8101; listen 127.0.0.1:8143 ssl;"
                                f" ssl_certificate {self.dir}/c.pem; ssl_certificate_key {self.dir}/k.pem; }}")
        (lab.dir / "agent/lib").mkdir(parents=True)
        self.agent = lab.agent(**options) if agent else None
        if agent:
            self.wait_known()

    def path(self, name):
        return self.dir / name

    def report(self):
        found = self.agent.api("config/drift")["instances"]
        return found[0] if found else {"known": False, "files": [], "more": 0}

    def wait_known(self):
        until(lambda: self.report()["known"], lambda: f"a first look: {self.report()}\n{self.agent.text()[-2000:]}")

    def files(self):
        return {f["path"].removeprefix(f"{self.dir}/"): f["kind"] for f in self.report()["files"]}

    def wait(self, expected):
        until(lambda: self.files() == expected, lambda: f"{expected}; there is {self.report()}")
        return self.report()

    def metric(self):
        return list(self.agent.series("nginx_config_drifted_files").values())


def edit_vim(path):
    """As vim writes with its defaults: a test file, the old one renamed, a new one, the old one removed."""
    swap, probe = path.with_name(f".{path.name}.swp"), path.with_name("4913")
    swap.write_text("b0VIM")
    probe.write_text("")
    probe.unlink()
    text = path.read_text()
    path.rename(f"{path}~")
    path.write_text(text + "# vim\n")
    os.unlink(f"{path}~")
    swap.unlink()


def edit_sed(path):
    sh(["sed", "-i", "1s/$/ sed/", str(path)])


def edit_append(path):
    with open(path, "a") as f:
        f.write("# appended\n")


def edit_cp(path):
    new = path.with_name(".new")
    new.write_text(path.read_text() + "# cp\n")
    sh(["cp", str(new), str(path)])
    new.unlink()


def edit_rename(path):
    new = path.with_name("tmp.Xy12")
    new.write_text(path.read_text() + "# renamed\n")
    new.rename(path)


EDITORS = [edit_vim, edit_sed, edit_append, edit_cp, edit_rename]


def test_every_way_to_edit_a_file_is_noticed_at_once(lab):
    site = Site(lab)
    for name in ("conf.d/b.conf", "plain.conf", "sites-available/one"):
        path, shown = site.path(name), name.replace("available", "enabled")
        text = path.read_text()
        for edit in EDITORS:
            edit(path)
            done = time.monotonic()
            report = site.wait({shown: "changed"})
            assert time.monotonic() - done < 5, edit.__name__
            assert report["files"][0]["owner"] == "root" and report["since"]
            path.write_text(text)
            site.wait({})
    until(lambda: site.agent.cli("status")[0] == 0, lambda: site.agent.cli("status")[1])


def test_what_changes_no_content_is_no_drift_and_what_else_there_is(lab):
    site = Site(lab)
    a, b = site.path("conf.d/a.conf"), site.path("conf.d/b.conf")
    text = b.read_text()
    os.utime(a)
    b.unlink()
    b.write_text(text)
    for name in (".a.conf.swp", "a.conf~", "a.conf.bak", "#a.conf#", "a.conf.dpkg-new"):
        site.path(f"conf.d/{name}").write_text("x")
    a.chmod(0o600)  # the last one, which is seen
    report = site.wait({"conf.d/a.conf": "attributes"})
    assert report["files"][0]["old_digest"] == "" == report["files"][0]["new_digest"]  # not for everybody
    a.chmod(0o644)
    site.wait({})
    site.path("conf.d/new.conf").write_text("# new\n")
    site.path("conf.d/c.conf").unlink()
    site.wait({"conf.d/new.conf": "added", "conf.d/c.conf": "removed"})
    assert site.metric() == [2]
    code, said = site.agent.cli("status")
    assert code != 0 and "new.conf added" in said and "c.conf removed" in said, said
    events = [e["data"] for e in site.agent.events("nginx.config.drifted")]
    assert events[-1]["files"][0]["kind"] in ("added", "removed") and events[-1]["known"]
    site.path("conf.d/new.conf").unlink()
    site.path("conf.d/c.conf").write_text(CONF.format("c", "c"))
    site.wait({})
    until(lambda: site.metric() == [0], "the metric is 0")
    until(lambda: site.agent.cli("status")[0] == 0, lambda: site.agent.cli("status")[1])


def test_links_are_swapped_and_folders_replaced(lab):
    site = Site(lab)
    site.path("sites-available/two").write_text("# two\n")
    new = site.path("sites-enabled/.new")
    new.symlink_to("../sites-available/two")
    new.rename(site.path("sites-enabled/one"))
    site.wait({"sites-enabled/one": "changed"})
    site.path("sites-available/two").write_text("# one\n")
    site.wait({})
    site.path("conf.d").rename(site.path("conf.old"))
    site.wait({f"conf.d/{n}.conf": "removed" for n in "abc"})
    shutil.copytree(site.path("conf.old"), site.path("conf.d"))
    site.wait({})
    edit_sed(site.path("conf.d/a.conf"))
    site.wait({"conf.d/a.conf": "changed"})


def test_a_burst_of_200_files_is_one_event(lab):
    site = Site(lab)
    before = len(site.agent.events("nginx.config.drifted"))
    for i in range(200):
        site.path(f"conf.d/p{i}.conf").write_text(f"# {i}\n")
    until(lambda: len(site.report()["files"]) + site.report()["more"] == 200, lambda: f"200: {len(site.report()['files'])}")
    assert site.metric() == [200]
    events = site.agent.events("nginx.config.drifted")[before:]
    assert len(events) <= 2, [len(e["data"]["files"]) for e in events]  # two on a machine that stalls in between
    assert events[-1]["data"]["more"] + len(events[-1]["data"]["files"]) == 200
    used = site.agent.cpu()
    time.sleep(0.9)
    assert site.agent.cpu() - used < 0.3


def test_the_process_that_wrote_is_named(lab):
    site = Site(lab)
    with open(site.path("conf.d/a.conf"), "a") as f:
        f.write("# python\n")
    report = site.wait({"conf.d/a.conf": "changed"})
    assert f"process {os.getpid()}" in report["by"] and report["by"].startswith("root (python"), report
    assert f"process {os.getpid()}" in site.agent.cli("status")[1]
    site.path("conf.d/a.conf").write_text(CONF.format("a", "a"))
    site.wait({})
    os.chown(site.path("plain.conf"), 65534, 65534)
    subprocess.run(["sh", "-c", f"echo '# nobody' >> {site.path('plain.conf')}; sleep 0.1"], user=65534, check=True)
    report = site.wait({"plain.conf": "changed"})
    assert report["by"].startswith("nobody (sh, process ") and report["files"][0]["owner"] == "nobody", report


def test_a_reload_by_hand_takes_what_was_changed(lab):
    site = Site(lab)
    edit_sed(site.path("conf.d/a.conf"))
    site.wait({"conf.d/a.conf": "changed"})
    site.server.reload()
    site.wait({})
    sh(f"openssl req -x509 -key {site.dir}/k.pem -days 9 -subj /CN=y -out {site.dir}/c.pem 2>/dev/null")
    report = site.wait({"c.pem": "changed"})
    assert report["files"][0]["named"]
    assert "NGINX uses them once it is reloaded" in site.agent.cli("status")[1]
    site.server.reload()
    site.wait({})


def test_drift_is_noticed_by_the_next_run_of_the_agent(lab):
    site = Site(lab)
    until(lambda: "kept" in site.agent.text() or site.agent.api("config/versions?instance=nginx") is not None, "a version")
    site.agent.stop()
    edit_sed(site.path("conf.d/a.conf"))
    site.path("conf.d/n.conf").write_text("# n\n")
    site.path("plain.conf").unlink()
    site.agent.start()
    site.wait({"conf.d/a.conf": "changed", "conf.d/n.conf": "added", "plain.conf": "removed"})


def test_adopted_files_are_the_version_from_then_on(lab):
    site = Site(lab)
    code, said = site.agent.cli("config", "adopt")
    assert code != 0 and "nothing to adopt" in said, said
    edit_sed(site.path("conf.d/a.conf"))
    edit_sed(site.path("conf.d/b.conf"))
    site.wait({"conf.d/a.conf": "changed", "conf.d/b.conf": "changed"})
    code, said = site.agent.cli("config", "adopt", site.path("conf.d/zz.conf"))
    assert code != 0 and "has not drifted" in said, said
    code, said = site.agent.cli("config", "adopt", site.path("conf.d/a.conf"))
    assert code == 0 and "adopted" in said, said
    report = site.wait({"conf.d/b.conf": "changed"})
    assert report["version"]
    code, said = site.agent.cli("config", "adopt", "nginx")
    assert code == 0, said
    site.wait({})
    site.agent.stop()
    site.agent.start()
    site.wait_known()
    site.wait({})
    site.path("conf.d/a.conf").write_text("# other\n")
    site.wait({"conf.d/a.conf": "changed"})
    site.server.reload()
    edit_append(site.path("conf.d/c.conf"))
    site.wait({"conf.d/a.conf": "changed", "conf.d/c.conf": "changed"})  # a reload is no adoption


def test_a_certificate_is_adopted_by_its_path_alone(lab):
    site = Site(lab)
    with open(site.path("c.pem"), "a") as f:
        f.write("# another\n")
    site.wait({"c.pem": "changed"})
    code, said = site.agent.cli("config", "adopt")
    assert code != 0 and "reload NGINX to use them, or adopt them by their paths" in said, said
    assert site.agent.api("config/history")["changes"] == []
    code, said = site.agent.cli("config", "adopt", site.path("c.pem"))
    assert code == 0, said
    site.wait({})


@pytest.mark.parametrize("settings", [
    {"outrider": {"drift": {"watches": 1}}, "watchers": {"file_watcher": {"monitoring_frequency": "300ms"}}}])
def test_past_the_limit_of_watches_a_slow_look_finds_it(lab, settings):
    site = Site(lab, agent=False)
    agent = lab.agent(start=False)
    for key, value in settings.items():
        agent.settings[key] = {**agent.settings[key], **value}
    agent.write()
    site.agent = agent.start()
    site.wait_known()
    until(lambda: "are not watched (outrider.drift.watches)" in agent.cli("status")[1], "the remark")
    edit_sed(site.path("plain.conf"))
    edit_sed(site.path("conf.d/a.conf"))
    site.wait({"plain.conf": "changed", "conf.d/a.conf": "changed"})


def test_files_in_another_root_are_watched_there(lab):
    """A container: its own root folder, with other files at the same paths."""
    root = lab.dir / "root"
    root.mkdir()
    for name in ("usr", "lib", "lib64", "bin", "sbin", "dev", "etc"):
        if os.path.isdir(f"/{name}"):
            (root / name).mkdir()
            sh(f"mount --rbind /{name} {root}/{name}")
            lab.mounts.append(f"{root}/{name}")
    site = Site(lab, agent=False)
    site.server.stop()
    for name in ("run", "var/log/nginx", "var/lib/nginx", "tmp"):
        (root / name).mkdir(parents=True)
    sh(f"cp -a /run/lab/site /run/lab/n {root}/run/ && mkdir {root}/run/lab && mv {root}/run/site {root}/run/n {root}/run/lab/")
    sh(["chroot", str(root), "nginx", "-p", str(site.server.dir), "-c", str(site.server.conf)])
    site.agent = lab.agent()
    site.wait_known()
    edit_sed(site.path("conf.d/a.conf"))  # ours, which that NGINX does not see
    edit_sed(root / site.path("conf.d/b.conf").relative_to("/"))
    site.wait({"conf.d/b.conf": "changed"})
    pid = int((root / "run/lab/n/nginx.pid").read_text())
    os.kill(pid, signal.SIGTERM)


def test_only_allowed_folders_are_watched(lab):
    site = Site(lab, agent=False)
    agent = lab.agent(start=False, extra={"allowed_directories": [f"{site.server.dir}", f"{site.dir}/conf.d"]})
    site.agent = agent.start()
    site.wait_known()
    site.path("plain.conf").write_text("# changed\n")
    edit_sed(site.path("conf.d/a.conf"))
    site.wait({"conf.d/a.conf": "changed"})


def test_the_feature_can_be_switched_off_and_on(lab):
    site = Site(lab)
    agent = site.agent
    agent.settings["features"] = ["configuration", "metrics"]
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: not agent.api("config/drift")["enabled"], "off")
    assert site.metric() == []
    edit_sed(site.path("conf.d/a.conf"))
    agent.settings["features"] = ["configuration", "metrics", "file-watcher"]
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.api("config/drift")["enabled"], "on")
    site.wait({"conf.d/a.conf": "changed"})


ALLOWED = {"allowed_directories": ["/run/lab"]}


def test_what_may_not_be_changed_is_not_reverted(lab):
    site = Site(lab)
    edit_sed(site.path("conf.d/a.conf"))
    site.wait({"conf.d/a.conf": "changed"})
    code, said = site.agent.cli("config", "revert")
    assert code == 1 and "outside of allowed_directories" in said, said
    site.wait({"conf.d/a.conf": "changed"})


def test_reverted_files_are_as_before_and_nginx_runs_with_them(lab):
    site = Site(lab, extra=ALLOWED)
    code, said = site.agent.cli("config", "revert")
    assert code == 2 and "nothing to revert" in said, said
    a, b, c = (site.path(f"conf.d/{n}.conf") for n in "abc")
    before = a.read_text()
    edit_sed(a)
    edit_rename(b)
    c.unlink()
    site.path("conf.d/new.conf").write_text("# new\n")
    site.path("plain.conf").chmod(0o600)
    site.wait({"conf.d/a.conf": "changed", "conf.d/b.conf": "changed", "conf.d/c.conf": "removed",
               "conf.d/new.conf": "added", "plain.conf": "attributes"})
    code, said = site.agent.cli("config", "revert", a)
    assert code == 0, said
    assert a.read_text() == before
    site.wait({"conf.d/b.conf": "changed", "conf.d/c.conf": "removed", "conf.d/new.conf": "added", "plain.conf": "attributes"})
    code, said = site.agent.cli("config", "revert", "nginx", "--message", "no")
    assert code == 0, said + site.agent.text()[-6000:]
    site.wait({})
    assert not site.path("conf.d/new.conf").exists() and c.exists()
    assert site.path("plain.conf").stat().st_mode & 0o777 == 0o644
    last = site.agent.api("config/history?limit=1")["changes"][0]
    assert last["result"] == "applied" and last["who"]["kind"] == "drift" and last["message"] == "no"


def test_an_apply_is_no_drift(lab):
    site = Site(lab, extra=ALLOWED)
    before = len(site.agent.events("nginx.config.drifted"))
    new = lab.put("a.conf", CONF.format("a", "changed"))
    code, said = site.agent.cli("config", "apply", new, "--to", site.path("conf.d/a.conf"))
    assert code == 0, said
    site.wait({})
    until(lambda: site.report()["version"], "it is compared with the version")
    bad = lab.put("bad.conf", "nonsense;\n")
    code, said = site.agent.cli("config", "apply", bad, "--to", site.path("conf.d/b.conf"))
    assert code == 1, said
    site.wait({})
    drifted = [e["data"]["files"] for e in site.agent.events("nginx.config.drifted")[before:]]
    assert not any(drifted), drifted
    edit_sed(site.path("conf.d/a.conf"))
    site.wait({"conf.d/a.conf": "changed"})
    site.server.reload()
    edit_sed(site.path("conf.d/b.conf"))
    site.wait({"conf.d/a.conf": "changed", "conf.d/b.conf": "changed"})


def test_a_version_stays_the_measure_however_many_changes_are_refused(lab):
    site = Site(lab, extra=ALLOWED)
    new = lab.put("new.conf", CONF.format("a", "changed"))
    code, said = site.agent.cli("config", "apply", new, "--to", site.path("conf.d/a.conf"))
    assert code == 0, said
    until(lambda: site.report()["version"], "it is compared with the version")
    version = site.report()["version"]
    site.agent.stop()
    with contextlib.closing(sqlite3.connect(lab.dir / "agent/lib/history.db")) as db, db:
        db.executemany("INSERT INTO txn (id, instance, kind, began_ms, result, n_items)"
                       " SELECT ?, instance, kind, began_ms, 'invalid', 0 FROM txn WHERE number = 1",
                       [(f"refused-{i}",) for i in range(450)])
    edit_sed(site.path("conf.d/b.conf"))
    site.server.reload()
    site.agent.start()
    assert site.wait({"conf.d/b.conf": "changed"})["version"] == version


def test_an_agent_without_rights_notices_it_and_does_not_know_who(lab):
    site = Site(lab, user=65534)
    edit_sed(site.path("conf.d/a.conf"))
    report = site.wait({"conf.d/a.conf": "changed"})
    assert report["by"] == "" and report["files"][0]["owner"] == "root", report
