"""stub_status: asked wherever NGINX serves it, and of nobody else."""

import os
import pathlib
import signal
import socket

import pytest
from lab import NOBODY, get, raw, sh, until

S = "location = /s { stub_status; access_log off; }"
OTHER = "server { listen 8101 default_server; server_name d.example; return 404; }"

# What stands in http; a curl that an operator would use.
REACHED = {
    "plain": (f"server {{ listen 127.0.0.1:8101; {S} }}", "127.0.0.1:8101/s"),
    "https": (f"server {{ listen 127.0.0.1:8101 ssl; TLS {S} }}", "-k https://127.0.0.1:8101/s"),
    "https, by name": (
        "server { listen 8101 ssl default_server; TLS return 444; }"
        f"server {{ listen 8101 ssl; server_name status.example; TLS {S} }}",
        "-k --resolve status.example:8101:127.0.0.1 https://status.example:8101/s"),
    "https, a redirect beside it": (
        f"server {{ listen 8100; return 301 https://$host:8101$request_uri; }} server {{ listen 8101 ssl; TLS {S} }}",
        "-k https://127.0.0.1:8101/s"),
    "HTTP/2 only": (f"server {{ listen 127.0.0.1:8101 http2; {S} }}", "--http2-prior-knowledge 127.0.0.1:8101/s"),
    "a regular expression before it": (
        "server { listen 8101; location ~ ^/(status|ping)$ { return 200 pool; } location /status { stub_status; } }",
        "127.0.0.1:8101/status/"),
    "regular expression": (
        "server { listen 8101; location ~ ^/(nginx|basic)_status$ { stub_status; } }", "127.0.0.1:8101/basic_status"),
    "any case": ("server { listen 8101; location ~* /Nginx_Status { stub_status; } }", "127.0.0.1:8101/nginx_status"),
    "named": ("server { listen 8101; location = /s { try_files /none @st; } location @st { stub_status; } }",
              "127.0.0.1:8101/s"),
    "error_page": ("server { listen 8101; location = /s { error_page 404 = @st; } location @st { stub_status; } }",
                   "127.0.0.1:8101/s"),
    "internal": ("server { listen 8101; location = /x { try_files /none /s; }"
                 " location = /s { internal; stub_status; } }", "127.0.0.1:8101/x"),
    "nested": ("server { listen 8101; location /a/ { location /a/b/ { location = /a/b/s { stub_status; } } } }",
               "127.0.0.1:8101/a/b/s"),
    "name with _": (f"{OTHER} server {{ listen 8101; server_name nginx_status; {S} }}",
                    "-H 'Host: nginx_status' 127.0.0.1:8101/s"),
    "*.name": (f"{OTHER} server {{ listen 8101; server_name *.st.example; {S} }}",
               "-H 'Host: b.st.example' 127.0.0.1:8101/s"),
    "name.*": (f"{OTHER} server {{ listen 8101; server_name st.example.*; {S} }}",
               "-H 'Host: st.example.b' 127.0.0.1:8101/s"),
    ".name": (f"{OTHER} server {{ listen 8101; server_name .st.example; {S} }}",
              "-H 'Host: st.example' 127.0.0.1:8101/s"),
    "name by expression": (rf"{OTHER} server {{ listen 8101; server_name ~^status\.; {S} }}",
                           "-H 'Host: status.x' 127.0.0.1:8101/s"),
    "empty name": (f'{OTHER} server {{ listen 8101; server_name ""; {S} }}', "-0 -H 'Host:' 127.0.0.1:8101/s"),
    "no name": (f"{OTHER} server {{ listen 8101; {S} }}", "-0 -H 'Host:' 127.0.0.1:8101/s"),
    "$hostname": (f"{OTHER} server {{ listen 8101; server_name $hostname; {S} }}",
                  '-H "Host: $(hostname)" 127.0.0.1:8101/s'),
    "first name taken": (f"{OTHER} server {{ listen 8101; server_name d.example b.example; {S} }}",
                         "-H 'Host: b.example' 127.0.0.1:8101/s"),
    "its own name only": (
        f"server {{ listen 8101; server_name st.example; if ($host != st.example) {{ return 403; }} {S} }}",
        "-H 'Host: st.example' 127.0.0.1:8101/s"),
    "its own name, by a map": (
        "map $host $no { default 1; st.example 0; }"
        f"server {{ listen 8101; server_name st.example; if ($no) {{ return 403; }} {S} }}",
        "-H 'Host: st.example' 127.0.0.1:8101/s"),
    "an address that another has": (
        f"server {{ listen 127.0.0.1:8101; server_name in; return 404; }} server {{ listen 8101; server_name st; {S} }}",
        "127.0.0.9:8101/s"),
    "range": (f"server {{ listen 8101-8104; {S} }}", "127.0.0.1:8103/s"),
    "IPv6": (f"server {{ listen [::1]:8101; {S} }}", "-g [::1]:8101/s"),
    "any IPv6": (f"server {{ listen [::]:8101 ipv6only=on; {S} }}", "-g [::1]:8101/s"),
    "both": (f"server {{ listen [::]:8101 ipv6only=off; {S} }}", "127.0.0.1:8101/s"),
    "localhost": (f"server {{ listen localhost:8101; {S} }}", "127.0.0.1:8101/s"),
    "a name of /etc/hosts": (f"server {{ listen status.internal:8101; {S} }}", "127.0.0.3:8101/s"),
    "no port": (f"server {{ listen 127.0.0.1; {S} }}", "127.0.0.1/s"),
    "no listen": (f"server {{ {S} }}", "127.0.0.1/s"),
    "socket": (f"server {{ listen unix:/run/st.sock; {S} }}", "--unix-socket /run/st.sock http://a/s"),
    "socket with TLS": (f"server {{ listen unix:/run/st.sock ssl; TLS {S} }}",
                        "-k --unix-socket /run/st.sock https://a/s"),
    "proxy_protocol": (
        "server { listen 8101 proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;"
        "location = /s { stub_status; allow 127.0.0.1; deny all; } }", "--haproxy-protocol 127.0.0.1:8101/s"),
    "proxy_protocol with TLS": (f"server {{ listen 8101 ssl proxy_protocol; TLS {S} }}",
                                "-k --haproxy-protocol https://127.0.0.1:8101/s"),
    "the server itself": ("server { listen 127.0.0.1:8101; stub_status; }", "127.0.0.1:8101/"),
    "space": ('server { listen 8101; location "/my status" { stub_status; } }', "127.0.0.1:8101/my%20status"),
    "UTF-8": ("server { listen 8101; location = /st%61tus { return 404; } location = /stätus { stub_status; } }",
              "127.0.0.1:8101/st%C3%A4tus"),
    "percent and mark": ('server { listen 8101; location = "/a%20b?c" { stub_status; } }',
                         "127.0.0.1:8101/a%2520b%3Fc"),
    "no keep-alive": (f"keepalive_timeout 0; server {{ listen 8101; {S} }}", "127.0.0.1:8101/s"),
    "the second of two": (
        "server { listen 8101; location = /a { stub_status; deny all; } location /b { stub_status; } }",
        "127.0.0.1:8101/b"),
}

# What stands in http; what the agent says of it.
REFUSED = {
    "deny": ("server { listen 8101; location = /s { stub_status; deny all; } }", "http://127.0.0.1:8101/s: HTTP 403"),
    "return": (f"server {{ listen 8101; return 301 https://x.example/; {S} }}", "http://127.0.0.1:8101/s: HTTP 301"),
    "password": (
        "server { listen 8101; location = /s { stub_status; auth_basic x; auth_basic_user_file /run/lab/pw; } }",
        "HTTP 401"),
    "something else": (
        "server { listen 8101; location = /s { stub_status; } rewrite ^ /page last; location /page { return 200 hello; } }",
        'not a stub_status page: "hello"'),
}


@pytest.fixture(scope="module")
def hosts():
    text = pathlib.Path("/etc/hosts").read_text() + "127.0.0.3 status.internal\n"
    pathlib.Path("/mnt/hosts").write_text(text)
    sh("mount --bind /mnt/hosts /etc/hosts")
    yield
    sh("umount /etc/hosts")


def tls(lab, http):
    key = lab.dir / "k.pem"
    if "TLS" in http and not key.exists():
        sh(f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} "
           f"-out {lab.dir}/c.pem -days 2 -subj /CN=status.example 2>/dev/null")
    return http.replace("TLS", f"ssl_certificate {lab.dir}/c.pem; ssl_certificate_key {key};")


def page(curl, prefix=()):
    """The numbers that an operator sees."""
    text = sh([*prefix, "sh", "-c", f"curl -sS --max-time 5 {curl}"])
    assert text.startswith("Active connections"), text
    return dict(zip(("accepted", "handled", "requests"), map(int, text.split("requests")[1].split()[:3])))


def counted(agent, pid, match=lambda i: True):
    return agent.wait_instance(pid, lambda i: i["metrics"] and i["metrics"]["status_ok"] and match(i))


def problems(agent):
    return agent.cli("status")[1]


def test_status_is_reached_wherever_nginx_serves_it(lab, hosts):
    lab.put("x", "")
    failed = []
    for i, (name, (http, curl)) in enumerate(REACHED.items()):
        server = lab.nginx("access_log off;" + tls(lab, http), name=f"n{i}")
        agent = lab.agent(name=f"a{i}", interval="200ms")
        try:
            counted(agent, server.pid)
            before = page(curl)["requests"]
            # Whoever asks is counted too: ours is between two of the operator's.
            seen = counted(agent, server.pid, lambda n, b=before: n["metrics"]["requests"] > b)["metrics"]["requests"]
            assert before < seen < page(curl)["requests"]
        except AssertionError as error:
            failed.append(f"{name}: {str(error)[:400]}")
        agent.stop()
        server.stop()
    assert not failed, "\n".join(failed)


def test_what_came_back_is_told_where_it_cannot_be_reached(lab):
    lab.put("pw", "a:{PLAIN}b\n")
    for i, (name, (http, said)) in enumerate(REFUSED.items()):
        server = lab.nginx("access_log off;" + http, name=f"n{i}")
        agent = lab.agent(name=f"a{i}", interval="200ms")
        agent.wait_instance(server.pid)
        until(lambda s=said, a=agent: s in problems(a), lambda n=name, a=agent: f"{n}: {problems(a)}")
        assert agent.cli("status")[0] != 0
        server.stop()
        until(lambda s=said, a=agent: s not in problems(a), "it is over with its NGINX")
        agent.stop()


def test_a_configuration_without_it_is_no_failure(lab):
    server = lab.nginx("server { listen 8101; location / { return 200 x; } }")
    agent = lab.agent()
    agent.wait_instance(server.pid)
    agent.samples(2)
    assert agent.cli("status")[0] == 0
    assert agent.instance(server.pid)["stub_status"] == ""


def test_it_is_found_again_when_it_works_again(lab):
    server = lab.nginx(f"access_log off; server {{ listen 8101; {S} }}")
    agent = lab.agent(interval="200ms")
    counted(agent, server.pid)
    server.write("access_log off; server { listen 8101; location = /s { stub_status; deny all; } }")
    server.reload()
    until(lambda: "HTTP 403" in problems(agent), "it is told")
    # Two reloads between two looks at the workers cannot be told from a worker that was respawned.
    until(lambda: agent.instance(server.pid)["workers"] == server.workers(), "the reload is seen")
    server.write(f"access_log off; server {{ listen 8101; {S} }}")
    server.reload()
    counted(agent, server.pid)
    until(lambda: "HTTP 403" not in problems(agent) and agent.cli("status")[0] == 0, lambda: problems(agent))


def test_a_slow_page_is_cut_at_the_deadline(lab):
    """Something that takes connections and never ends its answer stands in the place of NGINX's page."""
    listener = socket.create_server(("127.0.0.1", 8109))
    server = lab.nginx(f"server {{ listen 8101; {S} }}")
    agent = lab.agent(interval="200ms", extra={
        "client": {"http": {"timeout": "1s"}},
        "data_plane_config": {"nginx": {"api": {"url": "http://127.0.0.1:8109/s"}}}})
    agent.wait_instance(server.pid)
    with listener:
        until(lambda: "no answer within" in problems(agent), lambda: problems(agent))


def test_what_operators_set_by_hand(lab):
    lab.put("pw", "a:{PLAIN}b@/c\n", mode=0o644)
    server = lab.nginx(tls(lab, "access_log off; server { listen 8101 default_server; return 404; }"
                                rf"server {{ listen 8101; server_name ~^status\.; {S} }}"
                                "server { listen 8102; location = /s { stub_status; auth_basic x;"
                                " auth_basic_user_file /run/lab/pw; } }"
                                f"server {{ listen 8103 ssl; TLS {S} }}"))
    for i, (url, said) in enumerate({
            "http://127.0.0.1:8101/s#host=status.x": None,
            "http://a:b%40%2Fc@127.0.0.1:8102/s": None,
            "https://127.0.0.1:8103/s": None,
            "http://127.0.0.1:8101/s": "http://127.0.0.1:8101/s: HTTP 404",
            "http://nowhere.example:8101/s": '"nowhere.example" is neither an IP address nor a name in /etc/hosts',
            "http://127.0.0.1:1/s": "Connection refused",
    }.items()):
        agent = lab.agent(name=f"a{i}", extra={"data_plane_config": {"nginx": {"api": {"url": url}}}})
        if said is None:
            assert "b%40" not in counted(agent, server.pid)["stub_status"]
        else:
            agent.wait_instance(server.pid)
            until(lambda s=said, a=agent: s in problems(a), lambda a=agent: problems(a))
        agent.stop()
        assert "b%40" not in agent.text() and "b@/c" not in agent.text()


def test_a_wrong_scheme_is_an_error_at_the_start(lab):
    agent = lab.agent(start=False, extra={"data_plane_config": {"nginx": {"api": {"url": "ftp://x/"}}}})
    agent.start(wait=False)
    assert agent.process.wait(20) != 0
    assert 'data_plane_config.nginx.api.url: bad URL' in agent.text()
    agent.process = None


def test_every_network_namespace_has_its_own_page(lab):
    """The same address in two namespaces: each NGINX is asked in its own."""
    http = "access_log off; server { listen 127.0.0.1:8101; location / { return 200 x; } %s }" % S
    here = lab.nginx(http, name="here")
    inside = lab.netns("one")
    there = lab.nginx(http, name="there", prefix=inside)
    agent = lab.agent(interval="200ms")
    counted(agent, here.pid)
    counted(agent, there.pid)
    for _ in range(500):  # far more than samples can be taken meanwhile
        assert get("/") == 200
    for server, prefix in ((here, []), (there, inside)):
        before = page("127.0.0.1:8101/s", prefix)["requests"]
        seen = counted(agent, server.pid, lambda i, b=before: i["metrics"]["requests"] > b)["metrics"]["requests"]
        assert before < seen < page("127.0.0.1:8101/s", prefix)["requests"]
    assert counted(agent, here.pid)["metrics"]["requests"] > 500
    assert counted(agent, there.pid)["metrics"]["requests"] < 500


def test_a_namespace_that_cannot_be_entered_is_not_asked(lab):
    """Without the right nobody else's page, at the same address here, is taken for it."""
    http = f"access_log off; server {{ listen 127.0.0.1:8101; {S} }}"
    here = lab.nginx(http, name="here")
    there = lab.nginx(http, name="there", prefix=lab.netns("one"))
    agent = lab.agent(interval="200ms", start=False,
                      wrap=["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"])
    agent.start()
    counted(agent, here.pid)
    agent.wait_instance(there.pid)
    until(lambda: "its network namespace cannot be entered" in problems(agent), lambda: problems(agent))
    assert not any(e["data"]["status_ok"] for e in agent.events("nginx.metrics.sampled")
                   if e["data"]["id"] == agent.instance(there.pid)["id"])


def test_an_agent_without_rights_asks_and_says_nothing_wrong(lab):
    """It cannot see who holds a socket, but whose network namespace is whose."""
    http = f"access_log off; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} {S} }}"
    here = lab.nginx(http, name="here")
    there = lab.nginx(http, name="there", prefix=lab.netns("one"))
    lab.dir.chmod(0o755)
    agent = lab.agent(interval="200ms", user=NOBODY)
    before = page("127.0.0.1:8101/s")["requests"]
    agent.wait_instance(here.pid)
    agent.wait_instance(there.pid)
    seen = counted(agent, here.pid, lambda i: i["metrics"]["requests"] > before)["metrics"]["requests"]
    assert before < seen < page("127.0.0.1:8101/s")["requests"]
    until(lambda: "another network namespace, which cannot be opened" in problems(agent), lambda: problems(agent))
    answered = [e["data"]["id"] for e in agent.events("nginx.metrics.sampled") if e["data"]["status_ok"]]
    assert set(answered) == {agent.instance(here.pid)["id"]}


def totals(agent):
    return sum(agent.series("nginx_http_requests_total").values())


def test_an_upgrade_neither_jumps_nor_counts_twice(lab):
    """Two masters answer in turn at one port, each with counters of its own."""
    server = lab.nginx("access_log off; server { listen 127.0.0.1:8101; location / { return 200 x; } %s }" % S)
    for _ in range(3000):
        raw("GET / HTTP/1.0\r\n\r\n")
    agent = lab.agent(interval="100ms")
    old = server.pid
    counted(agent, old)
    agent.samples(3)
    before = totals(agent)
    assert before > 3000
    os.kill(old, signal.SIGUSR2)
    until(lambda: server.pid and server.pid != old and server.workers(), "the new master runs")
    polls = agent.totals()["samples"]
    for _ in range(200):
        assert get("/") == 200
    agent.samples(6)
    # Both masters are asked once a sample, and a connection may need some tries.
    polls = agent.totals()["samples"] - polls
    grown = totals(agent) - before
    assert 200 <= grown <= 200 + 3 * (polls + 10), grown
    middle = totals(agent)
    os.kill(old, signal.SIGQUIT)
    until(lambda: not pathlib.Path(f"/proc/{old}").exists(), "the old master ends")
    for _ in range(100):
        assert get("/") == 200
    agent.samples(6)
    last = totals(agent)
    assert 100 <= last - middle <= 100 + 60, last - middle
    deltas = [e["data"]["requests_delta"] for e in agent.events("nginx.metrics.sampled")]
    assert max(deltas) <= 310, deltas


def test_of_two_masters_at_one_port_each_is_asked_itself(lab):
    """Started twice by mistake; reuseport lets both bind. Each poll is a new connection that either may take."""
    http = ("access_log off; keepalive_timeout 0; server { listen 127.0.0.1:8101 reuseport;"
            " location / { return 200 x; } %s }" % S)
    first = lab.nginx(http, name="first")
    for _ in range(1000):
        assert get("/") == 200
    second = lab.nginx(http, name="second")
    agent = lab.agent(interval="200ms")
    for _ in range(5):
        one = counted(agent, first.pid)["metrics"]["requests"]
        two = counted(agent, second.pid)["metrics"]["requests"]
        assert one >= 1000 and two < 300, (one, two)
        agent.samples(4)
    deltas = [e["data"]["requests_delta"] for e in agent.events("nginx.metrics.sampled")]
    assert max(deltas) < 20, deltas
    assert agent.cli("status")[0] == 0
