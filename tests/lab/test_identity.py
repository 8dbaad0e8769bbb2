"""Whose NGINX is it, and is it one: strangers, look-alikes, dead masters, containers, forks, upgrades."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from lab import NGINX, NOBODY, sh, state_of, until

PAGE = """access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return 200 x; }}
    location = /status {{ stub_status; }} }}"""

SPY = r"""
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int fd = open("/run/lab/spy.log", O_WRONLY | O_APPEND);
    if (argc > 1 && strcmp(argv[1], "wait") != 0) {
        dprintf(fd, "ran as %d: %s\n", geteuid(), argv[1]);
        return 0;
    }
    for (;;) { pause(); }
}
"""

LOOK_ALIKE = r"""
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void go(int argc, char **argv, char **envp)
{
    (void)envp;
    if (argc < 1 || strncmp(argv[0], "nginx: ", 7) != 0) { return; }
    if (strstr(argv[0], "master") != NULL && fork() == 0) {
        char *worker[] = { "nginx: worker process", NULL };
        execv("/usr/sbin/nginx", worker);
    }
    for (;;) { pause(); }
}
"""


def spawn(words, **options):
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)


def as_nobody(words, **options):
    return spawn(words, user=NOBODY, group=NOBODY, extra_groups=[], **options)


def count(agent, topic):
    return len(agent.events(f"nginx.instance.{topic}"))


def host_nginx(lab, port=8101):
    """Root's NGINX with the paths that are compiled in."""
    pathlib.Path("/etc/nginx/nginx.conf").write_text(
        f"user root; worker_processes 1; pid /run/nginx.pid; events {{}} http {{ {PAGE.format(port=port)} }}\n")
    sh(f"{NGINX} >/dev/null 2>&1", cwd="/")  # its error log is what it inherits
    return until(lambda: int(pathlib.Path("/run/nginx.pid").read_text()), "pid file")


def ids(agent):
    return [i["id"] for i in agent.instances()]


def quiet(agent, seconds=1.5):
    """Nothing is told of an unchanged host."""
    agent.events()
    before = [count(agent, t) for t in ("started", "changed", "stopped")]
    time.sleep(seconds)
    assert [count(agent, t) for t in ("started", "changed", "stopped")] == before


# ---- strangers ----


def test_a_strangers_program_is_never_run(lab):
    agent = lab.agent()
    spy = lab.compile("home/nginx", SPY)
    log = lab.put("spy.log", "", 0o666)
    sh([str(spy), "-V"])
    assert "ran as 0" in log.read_text(), "the spy works"
    log.write_text("")
    stranger = as_nobody(["nginx: master process nginx"], executable=str(spy))
    lookalike = spawn(["nginx: master process /usr/sbin/nginx"], executable=str(spy))  # root's, and no NGINX either
    time.sleep(2.5)
    assert log.read_text() == ""
    assert agent.instances() == []
    assert {state_of(stranger.pid), state_of(lookalike.pid)} == {"S"}


@pytest.mark.parametrize("first", ["root", "stranger"])
def test_a_look_alike_takes_nothing_over(lab, first):
    trick = lab.compile("look.so", LOOK_ALIKE, "-shared", "-fPIC")

    def start_stranger():
        return as_nobody(["nginx: master process /usr/sbin/nginx"], executable=NGINX, env={"LD_PRELOAD": str(trick)}, cwd="/")

    agent = lab.agent()
    stranger = start_stranger() if first == "stranger" else None
    if stranger:
        agent.wait_instance(stranger.pid)
    root = host_nginx(lab)
    stranger = stranger or start_stranger()
    ours, theirs = agent.wait_instance(root), agent.wait_instance(stranger.pid)
    assert ours["id"] == "cd2d5dc0-c528-3f37-b83c-727fd4010777", "the one that NGINX Agent makes"
    assert theirs["id"] != ours["id"]
    assert (ours["uid"], ours["stranger"], theirs["uid"], theirs["stranger"]) == (0, False, NOBODY, True)
    assert any(f"user {NOBODY}" in r for r in theirs["remarks"])
    os.kill(root, signal.SIGKILL)
    until(lambda: ours["id"] not in ids(agent), "the end of root's is told")
    assert theirs["id"] in ids(agent)
    assert [e["data"]["id"] for e in agent.events("nginx.instance.stopped")] == [ours["id"]]


def test_strangers_are_ignored_on_demand(lab):
    server = lab.nginx(PAGE.format(port=8102), name="theirs", start=False, head=f"pid {lab.dir}/theirs/nginx.pid;")
    sh(f"chown -R {NOBODY} {server.dir}")
    as_nobody([NGINX, "-e", "stderr", "-p", str(server.dir), "-c", str(server.conf), "-g", "daemon off;"])
    until(lambda: server.pid, "it runs")
    agent = lab.agent(extra={"outrider": {**lab.agent(start=False).settings["outrider"],
                                          "nginx": {"strangers": "ignore"}}})
    root = host_nginx(lab)
    agent.wait_instance(root)
    time.sleep(1)
    assert [i["pid"] for i in agent.instances()] == [root]
    agent.settings["outrider"]["nginx"]["strangers"] = "show"
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    seen = agent.wait_instance(server.pid)
    assert seen["stranger"] and seen["maker"] == "nginx"


def test_a_socket_of_a_strangers_configuration_is_not_asked(lab):
    server = lab.nginx(f"access_log off; server {{ listen unix:{lab.dir}/t/s.sock; location = /s {{ stub_status; }} }}", name="t",
                       start=False, head=f"pid {lab.dir}/t/nginx.pid;")
    sh(f"chown -R {NOBODY} {server.dir}")
    as_nobody([NGINX, "-e", "stderr", "-p", str(server.dir), "-c", str(server.conf), "-g", "daemon off;"])
    until(lambda: server.pid, "it runs")
    assert lab.agent().wait_instance(server.pid)["stub_status"] == ""


# ---- the dead ----


def test_dead_masters_that_nobody_waits_for_end_once(lab):
    lab.reap(False)
    agent = lab.agent()
    dead = []
    for _ in range(3):
        server = lab.nginx(PAGE.format(port=8101))
        agent.wait_instance(server.pid)
        dead.append(server.pid)
        server.stop()
        until(lambda: agent.instances() == [], "its end is told")
    assert {state_of(pid) for pid in dead} == {"Z"}
    quiet(agent)
    server = lab.nginx(PAGE.format(port=8101))
    agent.wait_instance(server.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])
    quiet(agent)
    assert (count(agent, "started"), count(agent, "stopped")) == (4, 3)
    assert len(agent.series("nginx_http_requests_total")) == 1
    used = agent.cpu()
    time.sleep(2)
    assert agent.cpu() - used < 0.3


# ---- more than one ----


def test_one_command_given_twice_is_two_instances(lab):
    page = PAGE.format(port=8101).replace("8101;", "8101 reuseport;")
    server = lab.nginx(page)
    first = server.pid
    server.start(wait=False)
    second = until(lambda: server.pid != first and server.pid, "the second one")
    agent = lab.agent()
    one, two = agent.wait_instance(first), agent.wait_instance(second)
    assert one["id"] != two["id"]
    os.kill(first, signal.SIGKILL)
    until(lambda: ids(agent) == [two["id"]], "the other one goes on")


def test_an_upgrade_is_one_instance(lab):
    server = lab.nginx(PAGE.format(port=8101))
    old = server.pid
    agent = lab.agent()
    known = agent.wait_instance(old)["id"]
    os.kill(old, signal.SIGUSR2)
    fresh = until(lambda: server.pid not in (None, old) and server.pid, "the new master")
    agent.wait_instance(fresh)
    assert ids(agent) == [known]
    os.kill(old, signal.SIGQUIT)
    until(lambda: state_of(old) in (None, "Z"), "the old one ends")
    quiet(agent)
    assert ids(agent) == [known]
    assert (count(agent, "started"), count(agent, "stopped")) == (1, 0)


def test_an_upgrade_that_is_taken_back_is_one_instance(lab):
    server = lab.nginx(PAGE.format(port=8101))
    old = server.pid
    agent = lab.agent()
    known = agent.wait_instance(old)["id"]
    os.kill(old, signal.SIGUSR2)
    fresh = until(lambda: server.pid not in (None, old) and server.pid, "the new master")
    agent.wait_instance(fresh)
    os.kill(fresh, signal.SIGTERM)
    agent.wait_instance(old)
    quiet(agent)
    assert ids(agent) == [known]
    assert (count(agent, "started"), count(agent, "stopped")) == (1, 0)


# ---- places ----


def test_network_namespaces_are_told_apart(lab):
    server = lab.nginx(PAGE.format(port=8101))
    first = server.pid
    spawn([*lab.netns("one"), NGINX, "-p", str(server.dir), "-c", str(server.conf)])
    second = until(lambda: server.pid != first and server.pid, "the second one")
    agent = lab.agent()
    here, there = agent.wait_instance(first), agent.wait_instance(second)
    assert here["id"] != there["id"]
    assert here["own_net"] and not there["own_net"]
    assert here["net_ns"] == os.stat("/proc/1/ns/net").st_ino
    assert there["net_ns"] == os.stat(f"/proc/{second}/ns/net").st_ino


def test_containers_of_one_image_are_told_apart(lab):
    pids = []
    for name, port in (("a", 8111), ("b", 8112)):
        root = lab.dir / name
        for folder in ("usr", "lib", "lib64", "etc"):
            if os.path.isdir("/" + folder):
                lab.mount(f"--rbind /{folder}", root / folder)
        lab.mount("--bind /dev", root / "dev")
        for folder in ("run/x", "var/log/nginx", "var/lib/nginx", "proc", "tmp"):
            (root / folder).mkdir(parents=True)
        temp = "".join(f"{k}_temp_path /run/x/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (root / "run/x/n.conf").write_text(f"user root; pid /run/x/n.pid; error_log /run/x/err.log; events {{}}\n"
                                           f"http {{ {temp} {PAGE.format(port=port)} }}\n")
        spawn(["unshare", "-mnpf", "sh", "-c", f"ip link set lo up; exec chroot {root} {NGINX} -c /run/x/n.conf -g 'daemon off;'"])

        def found():
            masters = sh("ps -eo pid,args | grep '[n]ginx: master' || true").split("\n")
            return next((int(m.split()[0]) for m in masters if m and int(m.split()[0]) not in pids), None)

        pids.append(until(found, "it runs"))
    agent = lab.agent()
    one, two = (agent.wait_instance(pid) for pid in pids)
    assert one["id"] != two["id"]
    assert not one["own_net"] and not two["own_net"] and one["net_ns"] != two["net_ns"]
    assert one["binary"] == two["binary"] == NGINX, "as it is called in there"
    assert "8111" in one["stub_status"] and "8112" in two["stub_status"]


def test_other_mounts_under_the_same_root_are_other_files(lab):
    host_nginx(lab)
    other = lab.put("other/nginx.conf", f"user root; pid /run/other.pid; events {{}} http {{ {PAGE.format(port=8107)} }}\n")
    sh(["unshare", "-m", "sh", "-c", f"mount --bind {other.parent} /etc/nginx && exec {NGINX} >/dev/null 2>&1"])
    pid = until(lambda: int(pathlib.Path("/run/other.pid").read_text()), "it runs")
    seen = lab.agent().wait_instance(pid)
    assert "8107" in seen["stub_status"]


# ---- forks and odd starts ----


def test_an_nginx_is_known_by_what_its_executable_is(lab):
    (lab.dir / "bin").mkdir()
    for name in ("openresty", "nginx-debug", "a-very-long-name-of-a-web-server"):
        shutil.copy(NGINX, lab.dir / "bin" / name)
    (lab.dir / "bin/web").symlink_to(NGINX)
    starts = {name: [str(lab.dir / "bin" / name)] for name in ("openresty", "nginx-debug", "a-very-long-name-of-a-web-server", "web")}
    loader = pathlib.Path("/lib64/ld-linux-x86-64.so.2")
    if loader.exists():
        starts["loaded"] = [str(loader), NGINX]
    agent, servers = lab.agent(), {}
    for port, (name, words) in enumerate(starts.items(), 8120):
        servers[name] = lab.nginx(PAGE.format(port=port), name=name, start=False)
        spawn([*words, "-p", str(servers[name].dir), "-c", str(servers[name].conf), "-g", "daemon off;"])
    version = sh([NGINX, "-v"]).split("/")[1].split()[0]
    for port, name in enumerate(starts, 8120):
        pid = until(lambda name=name: servers[name].pid, f"{name} runs")
        seen = agent.wait_instance(pid, lambda i: i["workers"] and i["metrics"] and i["metrics"]["status_ok"])
        assert (seen["maker"], seen["version"]) == ("nginx", version), name
        assert f":{port}/status" in seen["stub_status"]


@pytest.mark.parametrize("maker, line", [("angie", "Angie version: Angie/1.7.0"), ("openresty", "nginx version: openresty/1.25"),
                                         ("tengine", "Tengine version: Tengine/3")])
def test_forks_name_their_maker(lab, maker, line):
    """The executable of a fork is NGINX's own with the text of its version changed in place."""
    program = pathlib.Path(NGINX).read_bytes()
    old = b"nginx version: nginx/" + sh([NGINX, "-v"]).split("/")[1].split()[0].encode() + b"\n"
    fresh = line.encode()[:len(old) - 1] + b"\n"
    assert program.count(old) == 1
    path = lab.put("fork", program.replace(old, fresh + b"\0" * (len(old) - len(fresh))), 0o755)
    server = lab.nginx(PAGE.format(port=8101), binary=path)
    seen = lab.agent().wait_instance(server.pid)
    assert (seen["maker"], seen["version"]) == (maker, fresh.decode().split("/")[1].strip())


def test_one_process_without_a_master_is_found(lab):
    server = lab.nginx(PAGE.format(port=8101), main="master_process off;", start=False)
    process = spawn([NGINX, "-p", str(server.dir), "-c", str(server.conf), "-g", "daemon off;"])
    agent = lab.agent()
    seen = agent.wait_instance(process.pid, lambda i: i["metrics"] and i["metrics"]["status_ok"])
    assert seen["workers"] == [process.pid]
    assert any("master_process off" in r for r in seen["remarks"])
    quiet(agent)
    assert len(agent.instances()) == 1, "the agent itself is none"


# ---- the unknown ----


def test_what_may_not_be_seen_is_unknown_and_said(lab):
    pid = host_nginx(lab)
    agent = lab.agent(user=NOBODY)
    seen = agent.wait_instance(pid)
    assert not seen["own_net"] and seen["net_ns"] == 0
    assert any("CAP_SYS_PTRACE" in r for r in seen["remarks"])
    assert any("CAP_SYS_PTRACE" in r for r in agent.status()["reasons"])


def test_hidden_processes_are_a_reason(lab):
    host_nginx(lab)
    sh("mount -o remount,hidepid=2 /proc")
    try:
        agent = lab.agent(user=NOBODY)
        until(lambda: any("hidepid" in r for r in agent.status()["reasons"]), "it is said")
    finally:
        sh("mount -o remount,hidepid=0 /proc")


def test_more_than_there_is_room_for_is_said(lab):
    """Masters of strangers have fewer places: a few more than those are enough."""
    trick = lab.compile("look.so", LOOK_ALIKE, "-shared", "-fPIC")
    crowd = [as_nobody(["nginx: master process /usr/sbin/nginx"], executable=NGINX, env={"LD_PRELOAD": str(trick)})
             for _ in range(130)]
    root = host_nginx(lab)
    agent = lab.agent()
    agent.wait_instance(root)
    until(lambda: len(agent.instances()) == 129, lambda: f"128 of {len(crowd)} and root's: {len(agent.instances())}")
    until(lambda: any("2 more NGINX" in r for r in agent.status()["reasons"]), lambda: str(agent.status()["reasons"]))
    with contextlib.suppress(ProcessLookupError):
        crowd[0].kill()
    until(lambda: any("1 more NGINX" in r for r in agent.status()["reasons"]), lambda: str(agent.status()["reasons"]))
