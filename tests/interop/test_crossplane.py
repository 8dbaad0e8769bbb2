"""`outrider nginx parse` against crossplane, whose schema it speaks, and against NGINX, which decides where the two differ:
on the configurations that Debian brings, on others made at random, and on those with a byte changed. docs/crossplane.md
lists the differences; `plain()` keeps the made ones clear of them, and nothing else is left out."""

import hashlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys

import pytest

BINARY = os.environ.get("OUTRIDER", "build/dev/outrider")
NGINX = "/usr/sbin/nginx"
HERE = pathlib.Path(__file__).parent
MADE = 220
ENV = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}


@pytest.fixture(scope="session")
def crossplane():
    """The module, installed once beside the guests' tools."""
    wanted = HERE / "crossplane.txt"
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "outrider" / "python"
    folder = cache / f"crossplane-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--upgrade",
                        "--target", folder, "-r", wanted], check=True)
        (folder / "complete").touch()
    sys.path.insert(0, str(folder))
    import crossplane as module  # noqa: PLC0415
    return module


def outrider(*words, stdin=None):
    done = subprocess.run([BINARY, "nginx", *map(str, words)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=ENV)
    assert done.returncode in (0, 1), done.stderr.decode()
    return done


def parsed(path, *options):
    return json.loads(outrider("parse", path, *options).stdout)


def nginx_says(path):
    """None: NGINX takes it; else (line, what)."""
    done = subprocess.run([NGINX, "-t", "-q", "-c", path, "-g", "error_log stderr;"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode == 0:
        return None
    for line in done.stdout.splitlines():
        if found := re.search(r"\[emerg\] \d+#\d+: (.*) in [^ ]*:(\d+)$", line):
            return int(found[2]), found[1]
    return 0, done.stdout


# ---- made configurations ----

WORDS = ["a", "x1", "$host", "${uri}x", "on", "10.0.0.1", "/srv/www", "~^/a", r"\.php$", "100%", "q=1&r=2", "text/html"]
INNER = ["a b", "a;b", "{", "}", "it's", 'say "x"', "#no", "", r"tab\tend", "é", "\n", "$host", r"a\;b"]


class Maker:
    """A configuration that NGINX takes, in a layout of its own: its grammar, written the other way round."""

    def __init__(self, seed, home):
        self.random = random.Random(seed)
        self.home = home

    def blank(self):
        r = self.random
        return r.choice([" ", "  ", "\t", "\n", " \n  "]) if r.random() < 0.3 else " "

    def word(self):
        r = self.random
        if r.random() < 0.6:
            return r.choice(WORDS)
        text = r.choice(INNER)
        quote = "'" if '"' in text else '"' if "'" in text else r.choice("'\"")
        return f"{quote}{text}{quote}"

    def line(self, *words):
        return self.blank().join(words) + self.random.choice(["", " ", "\n"]) + ";" + self.random.choice(["\n", " ", "\n\n"])

    def block(self, *words, inside):
        return self.blank().join(words) + " {" + self.random.choice(["\n", " "]) + inside + self.comment() + "}\n"

    def comment(self):
        return f"# {self.random.choice(['plain', 'a; {', 'é }', ''])}\n" if self.random.random() < 0.2 else ""

    def location(self, depth):
        r = self.random
        inside = self.comment()
        for _ in range(r.randrange(4)):
            inside += r.choice([
                lambda: self.line("add_header", r.choice(["X-A", "x-b"]), self.word()),
                lambda: self.line("set", f"$v{r.randrange(9)}", self.word()),
                lambda: self.line("root", "/srv/www"),
                lambda: self.line("try_files", "$uri", "$uri/", "=404"),
                lambda: self.block("if", "($request_method", "=", "POST)", inside=self.line("return", "405")),
                lambda: self.block("limit_except", "GET", inside=self.line("deny", "all")),
            ])()
        if depth < 3 and r.random() < 0.4:
            name = f"/l{r.randrange(999)}"
            return self.block("location", name, inside=inside + self.block(
                "location", f"{name}/{r.randrange(999)}", inside=self.line("return", "200", self.word())))
        return self.block("location", *r.choice([["/"], ["=", "/x"], ["~", r"\.php$"], ["^~", "/static/"], ["@name"]]),
                          inside=inside)

    def server(self):
        r = self.random
        inside = self.line("listen", f"127.0.0.1:{r.randrange(20000, 30000)}")
        inside += self.line("server_name", f"s{r.randrange(99)}.test", '"~^(?<n>.+)\\.x$"')
        return self.block("server", inside=inside + self.location(0))

    def text(self):
        r = self.random
        home = self.home
        temp = "".join(self.line(f"{k}_temp_path", f"{home}/{k}")
                       for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        http = temp + self.line("access_log", "off") + self.comment()
        for _ in range(r.randrange(1, 4)):
            http += r.choice([
                self.server,
                lambda: self.block("map", "$host", f"$m{r.randrange(9999)}",
                                   inside=self.line("default", "0") + self.line('"~^a b"', "1") + self.line("''", "2")),
                lambda: self.block("types", inside=self.line("text/x", "xx", "xy")),
                lambda: self.block("upstream", f"u{r.randrange(9999)}", inside=self.line("server", "127.0.0.1:1", "weight=2")),
                lambda: self.block("geo", f"$g{r.randrange(9999)}", inside=self.line("10.0.0.0/8", "a")),
            ])()
        return (self.line("pid", f"{home}/pid") + self.comment() +
                self.block("events", inside=self.line("worker_connections", "64")) + self.block("http", inside=http))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """[(path, what NGINX says)]; each is right, unless the maker is wrong about NGINX."""
    home = tmp_path_factory.mktemp("conf")
    found = []
    for seed in range(MADE):
        path = home / f"{seed}.conf"
        path.write_text(Maker(seed, home).text())
        found.append((path, nginx_says(path)))
    assert sum(said is None for _, said in found) > MADE * 0.8, [said for _, said in found if said]
    return found


def of_debian():
    folders = ["/etc/nginx", "/usr/share/doc", "/usr/share/nginx"]
    for folder in folders:
        for path in sorted(pathlib.Path(folder).rglob("*")):
            if "nginx" in str(path) and path.is_file() and path.suffix in ("", ".conf", ".example") and \
                    not path.name.startswith((".", "copyright", "README", "changelog")):
                text = path.read_bytes()
                if b";" in text and b"\0" not in text and text.isascii():
                    yield path


def without_files(payload):
    """In combined payloads crossplane gives no file to comments between words, and a wrong one to what follows an include."""
    if isinstance(payload, dict):
        return {k: without_files(v) for k, v in payload.items() if not (k == "file" and "directive" in payload)}
    return [without_files(v) for v in payload] if isinstance(payload, list) else payload


OPTIONS = {
    (): {},
    ("--combine",): {"combine": True},
    ("--include-comments",): {"comments": True},
    ("--single-file",): {"single": True},
    ("--ignore", "server,add_header"): {"ignore": ["server", "add_header"]},
    ("--no-check-ctx",): {"check_ctx": False},
    ("--no-check-args",): {"check_args": False},
}


def check_equal(crossplane, path, part=False, number=None):
    """`part`: of a configuration, for some other place than the outermost. `number`: no options, and one of them in turn."""
    wanted = list(OPTIONS.items())
    for options, named in wanted if number is None else [wanted[0], wanted[1 + number % (len(wanted) - 1)]]:
        if part:
            options, named = (*options, "--no-check-ctx"), {**named, "check_ctx": False}
        theirs = json.loads(json.dumps(crossplane.parse(str(path), **named)))
        assert without_files(parsed(path, *options)) == without_files(theirs), (path, options)
    theirs = [list(t[:2]) for t in crossplane.lex(str(path))]
    assert json.loads(outrider("lex", path, "-n").stdout) == theirs, path


def test_the_configurations_of_debian_read_as_crossplane_reads_them(crossplane):
    paths = list(of_debian())
    assert len(paths) >= 5, paths
    for path in paths:
        check_equal(crossplane, path, part=b"events" not in path.read_bytes())


def test_made_configurations_read_as_crossplane_reads_them(crossplane, made):
    for number, (path, _) in enumerate(made):
        check_equal(crossplane, path, number=number)


def test_what_nginx_takes_has_no_error(made):
    for path, said in made:
        if said is None:
            payload = parsed(path, "--strict")
            assert payload["status"] == "ok", (path, payload["errors"])


def test_what_is_laid_out_anew_means_the_same_to_nginx(made, tmp_path):
    for path, said in made[::10]:
        if said is not None:
            continue
        again = tmp_path / "again.conf"
        for words in (["format"], ["format", "--tabs"], ["minify"]):
            again.write_bytes(outrider(*words, path).stdout)
            assert nginx_says(again) is None, (path, words)
            assert shape(parsed(again)) == shape(parsed(path)), (path, words)
        (tmp_path / "json").write_bytes(outrider("parse", path).stdout)
        built = outrider("build", tmp_path / "json", "--stdout").stdout
        assert shape(json.loads(outrider("parse", "-", stdin=built).stdout)) == shape(parsed(path)), path


def shape(payload):
    """Names and arguments, without lines and comments."""
    def of(block):
        return [(s["directive"], s["args"], of(s.get("block", []))) for s in block if s["directive"] != "#"]
    return of(payload["config"][0]["parsed"])


# What NGINX says by its grammar and its tables, which we then say as well.
OF_GRAMMAR = re.compile(r'^(unexpected |directive ".*" (is not terminated|has no opening)|".*" directive is not allowed here'
                        r'|invalid number of arguments in|unknown directive|invalid value ".*" in ".*" directive, it must be)')


def test_where_nginx_finds_a_break_so_do_we(made, tmp_path):
    seen = {}
    path = tmp_path / "broken.conf"
    for seed, (whole, _) in enumerate(made):
        r = random.Random(seed)
        text = whole.read_text()
        at = r.randrange(len(text))
        path.write_text(text[:at] + r.choice(["", "", ";", "{", "}", '"', "'", "#", " x ", "\\"]) + text[at + 1:])
        theirs = nginx_says(path)
        ours = parsed(path, "--strict")["errors"]
        if theirs is None:
            assert ours == [], (seed, path.read_text(), ours)
        elif OF_GRAMMAR.match(theirs[1]):
            assert ours, (seed, path.read_text(), theirs)
            seen[theirs[1].split(" ")[0]] = seen.get(theirs[1].split(" ")[0], 0) + 1
    assert sum(seen.values()) > 20, seen


@pytest.mark.parametrize(("text", "line", "what"), [
    ("events {", 2, 'unexpected end of file, expecting "}"'),
    ("events { worker_connections 5", 2, 'unexpected end of file, expecting ";" or "}"'),
    ("events {} ;", 1, 'unexpected ";"'),
    ("events {} { }", 1, 'unexpected "{"'),
    ("events { } }", 1, 'unexpected "}"'),
    ("events { worker_connections 5 { } }", 1, 'directive "worker_connections" is not terminated by ";"'),
    ("events ;", 1, 'directive "events" has no opening "{"'),
    ("events {} foo bar;", 1, 'unknown directive "foo"'),
    ("events {}\nlisten 80;", 2, '"listen" directive is not allowed here'),
    ("events {}\n\nuser a b c;", 3, 'invalid number of arguments in "user" directive'),
    ("events {} daemon maybe;", 1, 'invalid value "maybe" in "daemon" directive, it must be "on" or "off"'),
])
def test_a_break_is_told_in_the_words_of_nginx(tmp_path, text, line, what):
    path = tmp_path / "x.conf"
    path.write_text(text + "\n")
    assert nginx_says(path) == (line, what)
    ours = parsed(path, "--strict")["errors"][0]
    assert (ours["line"], ours["error"]) == (line, f"{what} in {path}:{line}")


def test_files_are_included_in_the_order_of_nginx(crossplane, tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("10", "9", "B", "a", "é", ".hidden", "a.bak"):
        (tmp_path / "d" / f"{name}.conf").write_text(f"env N{ord(name[0])};\n")
    main = tmp_path / "nginx.conf"
    main.write_text("include d/*.conf;\ninclude d/[9a].conf;\ninclude gone/*.conf;\nevents {}\n")
    names = [pathlib.Path(c["file"]).stem for c in parsed(main)["config"][1:]]
    assert names == ["10", "9", "B", "a.bak", "a", "é"]
    check_equal(crossplane, main)
    main.write_text("include gone.conf;\nevents {}\n")
    check_equal(crossplane, main)
    main.unlink()
    assert parsed(main)["errors"] == json.loads(json.dumps(crossplane.parse(str(main))))["errors"]
