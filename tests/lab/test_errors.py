"""Error logs of a real NGINX: messages by level and cause, to the message."""

from lab import get, until


def by(agent, name, label):
    """{label: value} of a family."""
    found = {}
    for labels, value in agent.series(name).items():
        pairs = dict(item.split("=", 1) for item in labels.strip("{}").replace('"', "").split(","))
        found[pairs[label]] = value
    return found


def causes(agent):
    return by(agent, "nginx_error_log_causes_messages_total", "cause")


def test_messages_are_counted_by_level_and_cause(lab):
    server = lab.nginx(f"""access_log {lab.dir / "a.log"}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }}
        location /missing {{ root {lab.dir}; }} location /gone {{ proxy_pass http://127.0.0.1:8199; }}
        location /private {{ deny all; }} }}""")
    agent = lab.agent(interval="200ms")
    agent.wait_instance(server.pid)
    until(lambda: by(agent, "nginx_error_log_messages_total", "level").get("error") == 0,
          lambda: agent.text()[-2000:])
    assert causes(agent) == {}
    for path, code, times in (("/", 200, 4), ("/missing/x", 404, 3), ("/gone", 502, 2), ("/private", 403, 1)):
        for _ in range(times):
            assert get(path) == code
    wanted = {"file_not_opened": 3, "upstream_not_connected": 2, "access_denied": 1}
    until(lambda: causes(agent) == wanted, lambda: f"{causes(agent)}\n{server.error_log.read_text()[-2000:]}")
    assert by(agent, "nginx_error_log_messages_total", "level")["error"] == 6
    assert by(agent, "nginx_error_log_messages_total", "level")["emerg"] == 0


def test_log_that_is_excluded_has_no_series(lab):
    server = lab.nginx(f"""access_log {lab.dir / "a.log"}; server {{ listen 127.0.0.1:8101; location / {{ return 200 x; }} }}""")
    agent = lab.agent(interval="200ms", extra={"data_plane_config": {"nginx": {"exclude_logs": ["error[.]log$"]}}})
    agent.wait_instance(server.pid)
    assert get("/") == 200
    until(lambda: agent.series("nginx_http_responses_total"), lambda: agent.text()[-2000:])
    assert agent.series("nginx_error_log_messages_total") == {}
