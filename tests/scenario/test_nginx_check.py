"""`outrider nginx check` as a user types it."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from support import cli

TOP = pathlib.Path(__file__).resolve().parents[2]

BAD = """events {}
http {
    server {
        listen 80;
        location /img {
            alias /data/img/;
        }
        location /p { proxy_pass http://$arg_host; }
    }
}
"""
GOOD = """events {}
http {
    server_tokens off;
    server {
        listen 80 default_server;
        location /img/ { alias /data/img/; }
    }
}
"""


def check(*args, stdin=None):
    code, out, err = cli("nginx", "check", *args, stdin=stdin)
    return code, out.decode(), err


def findings(*args, stdin=None):
    """(rule, file name, line, severity) of each."""
    code, out, err = check(*args, "--json", stdin=stdin)
    assert err == ""
    return code, [(f["rule"], pathlib.Path(f["file"]).name, f["line"], f["severity"]) for f in json.loads(out)["findings"]]


@pytest.fixture
def conf(folder):
    def write(text, name="nginx.conf"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_text_names_file_line_why_and_how_to_mend(conf):
    path = conf(BAD)
    code, out, err = check(path)
    assert (code, err) == (1, "")
    assert f'{path}:6:19: error: the location "/img" ends without "/" and its alias "/data/img/" with one' in out
    assert "[alias-traversal]\n    why: " in out and "\n    mend: End the location with" in out
    assert f"{path}:8:34: error: " in out and "$arg_host" in out
    assert re.search(r"^\d errors, \d warnings?, \d notes? in 1 file$", out, re.M)
    code, out, _ = check(conf(GOOD))
    assert (code, out) == (0, "0 errors, 0 warnings, 0 notes in 1 file\n")


def test_json_has_all_of_a_finding(conf):
    path = conf(BAD)
    code, out, _ = check(path, "--json")
    answer = json.loads(out)
    first = answer["findings"][0]
    assert code == 1 and answer["parsed"] is True and answer["files"] == 1
    assert {k: first[k] for k in ("rule", "severity", "file", "line", "column")} == {
        "rule": "alias-traversal", "severity": "error", "file": str(path), "line": 6, "column": 19}
    assert first["why"] and first["mend"] and first["reference"].startswith("https://")
    assert answer["counts"]["error"] == sum(f["severity"] == "error" for f in answer["findings"])


def test_standard_input_and_parts_of_a_configuration():
    assert findings("-", stdin=BAD.encode()) [1][0] == ("alias-traversal", "stdin", 6, "error")
    code, found = findings("-", stdin=b"server { location /i { alias /d/; } }")
    assert code == 1 and found[0][:3] == ("alias-traversal", "stdin", 1)
    code, found = findings("-", stdin=b"location /i { alias /d/; }")
    assert code == 1 and found[0][0] == "alias-traversal"
    assert check("-", stdin=b"server { listen 80; }")[1].endswith("looked at as a part of http\n")


def test_exit_codes_and_severity(conf):
    bad, note = conf(BAD), conf("events {} http { server_tokens on; }", "note.conf")
    assert check(note)[0] == 0 and "server-tokens" in check(note)[1]
    assert check(note, "--severity", "note")[0] == 1
    assert check(note, "--severity=error")[:2] == (0, "0 errors, 0 warnings, 1 note in 1 file\n")
    assert check(bad, "--severity", "error")[0] == 1
    assert check(bad, "--only", "autoindex")[0] == 0
    assert {f[0] for f in findings(bad, "--only", "ssrf,autoindex")[1]} == {"ssrf"}
    assert "ssrf" not in {f[0] for f in findings(bad, "--except", "ssrf")[1]}
    for wrong in (["--severity", "bad"], ["--only", "nosuch"], ["--expires-within", "x"], ["--nginx-version", "1.2"],
                  ["--nosuch"], ["--severity"], [bad, bad]):
        code, out, err = check(*wrong)
        assert (code, out) == (2, "") and "outrider nginx check" in err
    code, out, err = check("/nowhere/nginx.conf")
    assert (code, out) == (2, "") and "/nowhere/nginx.conf" in err


def test_errors_of_the_language_are_findings(conf):
    path = conf("events {}\nhttp {\n    listen 80;\n    include gone.conf;\n    autoindex on;\n}\n")
    code, found = findings(path)
    assert code == 2
    assert ("parse", "nginx.conf", 3, "error") in found and ("parse", "nginx.conf", 4, "error") in found
    assert ("autoindex", "nginx.conf", 5, "warning") in found
    code, found = findings(conf("http { server {", "torn.conf"))
    assert code == 2 and [f[0] for f in found] == ["parse"]
    conf("include nginx.conf;", "ring/a.conf")
    ring = conf("events {} include a.conf;", "ring/nginx.conf")
    assert findings(ring)[0] == 2 and findings(ring)[1][0][0] == "parse"


def test_includes_are_followed_and_each_finding_is_told_once(conf):
    conf("add_header X-A $uri;\n", "inc/snippet.conf")
    path = conf("events {}\nhttp {\n server { location /a { include snippet.conf; } location /b { include snippet.conf; } }\n"
                " include d/*.conf;\n}\n", "inc/nginx.conf")
    conf("server { listen 81; autoindex on; }\n", "inc/d/one.conf")
    code, found = findings(path)
    assert code == 1
    assert [f for f in found if f[0] == "http-splitting"] == [("http-splitting", "snippet.conf", 1, "error")]
    assert ("autoindex", "one.conf", 1, "warning") in found


def test_a_comment_keeps_a_finding_quiet(conf):
    quiet = BAD.replace("alias /data/img/;", "alias /data/img/; # outrider: ignore alias-traversal it is empty")
    quiet = quiet.replace("        location /p", "        # outrider: ignore ssrf,missing-resolver the lab's own\n        location /p")
    path = conf(quiet)
    code, out, _ = check(path)
    assert code == 0 and "alias" not in out and out.endswith("; 3 kept quiet by comments\n")
    ignored = {f["rule"]: f.get("ignored") for f in json.loads(check(path, "--json")[1])["findings"]}
    assert ignored == {"alias-traversal": "it is empty", "ssrf": "the lab's own", "missing-resolver": "the lab's own"}
    for text, why in (("ignore alias-traversal", "reason is missing"), ("ignore nosuch because", '"nosuch"'),
                      ("ignore autoindex because", "covers nothing"), ("mute x", '"mute"')):
        path = conf(BAD.replace("alias /data/img/;", f"alias /data/img/; # outrider: {text}"))
        code, out, _ = check(path)
        assert code == 1 and why in out and "alias-traversal]" in out, text
    # In quotes it is no comment.
    path = conf('events {} http { server { location / { return 301 "https://a$uri # outrider: ignore http-splitting x"; } } }')
    assert check(path)[0] == 1


def test_sarif_has_what_its_readers_need(conf):
    path = conf(BAD.replace("alias /data/img/;", "alias /data/img/; # outrider: ignore alias-traversal it is empty"), "a b.conf")
    code, out, _ = check(path, "--sarif")
    log = json.loads(out)
    assert code == 1 and log["version"] == "2.1.0" and "sarif-2.1.0" in log["$schema"]
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] and driver["version"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"] and rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("note", "warning", "error")
        assert re.fullmatch(r"https://[^ ]+", rule["helpUri"])
    assert run["invocations"][0]["executionSuccessful"] is True
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("note", "warning", "error") and result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == f"file://{path}".replace(" ", "%20")
        assert place["region"]["startLine"] >= 1 and place["region"]["startColumn"] >= 1
    quiet = [r for r in run["results"] if r["ruleId"] == "alias-traversal"]
    assert quiet[0]["suppressions"] == [{"kind": "inSource", "justification": "it is empty"}]


def test_rules_are_listed_and_documented():
    code, out, _ = check("--rules", "--json")
    rules = json.loads(out)
    text = check("--rules")[1]
    documented = re.findall(r"^\| \[`([a-z-]+)`\]\(([^)]+)\) \| (\w+) \| (.+) \|$", (TOP / "docs/nginx-check.md").read_text(), re.M)
    assert code == 0 and len(rules) > 30
    assert documented == [(r["rule"], r["reference"], r["severity"], r["title"]) for r in rules]
    for rule in rules:
        assert f"{rule['rule']} ({rule['severity']}): " in text and rule["why"] in text and rule["mend"] in text


def make_cert(folder, name, days):
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", cert, "-subj", "/CN=a.example"]
    # A certificate of the past: openssl req takes a start only since 3.2, so its days are negative.
    subprocess.run([str(part) for part in [*made, "-days", days]], check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


def tls(cert, key):
    return f"events {{}} http {{ ssl_protocols TLSv1.3; server {{ listen 443 ssl; ssl_certificate {cert}; ssl_certificate_key {key}; }} }}"


def test_certificates_and_keys_are_looked_at(folder, conf):
    cert, key = make_cert(folder, "good", 90)
    soon, soon_key = make_cert(folder, "soon", 10)
    assert findings(conf(tls(cert, key))) == (0, [])
    assert findings(conf(tls("good.pem", "good.key"))) == (0, [])  # beside the configuration, as NGINX has it
    assert [f[0::3] for f in findings(conf(tls(soon, soon_key)))[1]] == [("cert-expires", "warning")]
    assert findings(conf(tls(soon, soon_key)), "--expires-within", "5") == (0, [])
    assert [f[0] for f in findings(conf(tls(cert, key)), "--expires-within=100")[1]] == ["cert-expires"]
    assert [f[0] for f in findings(conf(tls(cert, soon_key)))[1]] == ["cert-key-mismatch"]
    key.chmod(0o644)
    code, out, _ = check(conf(tls(cert, key)))
    assert code == 1 and "has mode 0644: everybody on this machine may read it" in out
    key.chmod(0o640)
    assert findings(conf(tls(cert, key))) == (0, [])


def test_what_cannot_be_known_is_said(folder, conf):
    cert, key = make_cert(folder, "good", 90)
    code, out, _ = check(conf(tls("/nowhere/a.pem", "/nowhere/a.key")), "--json")
    unknown = json.loads(out)["findings"]
    assert code == 0 and {f["rule"] for f in unknown} == {"cert-expires", "key-readable"}
    assert all(f["unknown"] and f["severity"] == "note" and "/nowhere/a." in f["message"] for f in unknown)
    fifo = folder / "fifo"
    os.mkfifo(fifo, 0o600)
    code, out, _ = check(conf(tls(fifo, fifo)))  # nobody writes to it: nothing waits
    assert code == 0 and "is not known" in out
    subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", key, "-out", folder / "locked.key"], check=True,
                   capture_output=True)
    (folder / "locked.key").chmod(0o600)
    code, out, _ = check(conf(tls(cert, folder / "locked.key")))
    assert code == 0 and "it is encrypted" in out
    huge = folder / "huge.pem"
    with huge.open("wb") as f:
        f.truncate(100 << 20)
    assert "is not known" in check(conf(tls(huge, key)))[1]


def test_names_are_asked_for_only_when_told(conf):
    path = conf("events {} http { upstream u { server 127.0.0.1; server name.invalid; } server { location / { proxy_pass http://u; } } }")
    assert findings(path) == (0, [])
    code, found = findings(path, "--resolve")
    # Without a network the system may not be able to say.
    assert [f[0] for f in found] == ["upstream-unresolved"] and code in (0, 1)
    assert findings(conf("events {} http { server { location / { proxy_pass http://127.0.0.1; } } }"), "--resolve") == (0, [])


def test_a_root_is_looked_into_and_not_left(folder, conf):
    conf(GOOD, "root/etc/nginx/nginx.conf")
    assert findings("/etc/nginx/nginx.conf", "--root", folder / "root") == (0, [])
    assert findings("--root", folder / "root") == (0, [])
    link = folder / "root/etc/nginx/out.conf"
    link.symlink_to(conf(BAD, "outside.conf"))
    assert check("/etc/nginx/out.conf", "--root", folder / "root")[0] == 2


def test_the_version_decides_on_defaults(conf):
    path = conf("events {} http { server { listen 443 ssl; ssl_certificate x; ssl_certificate_key x; } }")
    only = ["--only", "tls-protocols"]
    assert findings(path, *only, "--nginx-version", "1.28.0") == (0, [])
    assert findings(path, *only, "--nginx-version", "1.22.1")[0] == 1
    code, out, _ = check(path, *only, "--json")
    assert code == 0 and json.loads(out)["findings"][0]["unknown"] is True


@pytest.mark.skipif(not os.path.exists("/etc/nginx/nginx.conf"), reason="no NGINX of the distribution")
def test_the_distribution_s_own_configuration_has_no_error():
    code, found = findings()
    assert [f for f in found if f[3] == "error"] == [] and code in (0, 1)
