"""A configuration of 24 MB in 101 files: read into a tree beside crossplane-go and PyPI's crossplane, in
the same run; written as JSON, and checked by all rules.

crossplane-go is no module that Go's proxy has: OTR_CROSSPLANE_GO names a folder with its source
(a clone of github.com/nginxinc/nginx-go-crossplane)."""

import os
import pathlib
import shutil
import sys
import tempfile

from harness import Row, Unavailable

TIME, MEMORY = r"([0-9.]+) ms", r"([0-9]+) kB"
FILES, FILE_BYTES = 100, 240000
MODULE = "github.com/nginxinc/nginx-go-crossplane"
SITE = r"""# site {n} of file {f}
server {{
    listen 10.0.{f}.{a}:8080;
    server_name s{n}.example.com www.s{n}.example.com "~^(?<name>.+)\.s{n}\.net$";
    access_log /var/log/nginx/s{n}.log combined buffer=32k;
    root /srv/www/s{n};
    location / {{
        proxy_pass http://backend_{b};
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
    }}
    location ~ \.php$ {{
        fastcgi_pass unix:/run/php/s{n}.sock;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        if ($request_method = POST) {{ return 405; }}
    }}
}}
"""
PYPI = """
import sys, time
import crossplane
best = float("inf")
for _ in range(int(sys.argv[2])):
    started = time.perf_counter()
    payload = crossplane.parse(sys.argv[1])
    best = min(best, time.perf_counter() - started)
    assert payload["status"] == "ok", payload["errors"][:1]
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(f"{len(payload['config'])} files\\n{best * 1000:.2f} ms\\n{peak} kB")
"""


def make(folder):
    """The main file."""
    (folder / "conf.d").mkdir()
    for f in range(FILES):
        text, n = "", 0
        while len(text) < FILE_BYTES:
            n += 1
            text += SITE.format(n=n, f=f, a=n % 250, b=n % 17)
        (folder / "conf.d" / f"{f:03}.conf").write_text(text)
    main = folder / "nginx.conf"
    main.write_text("events { worker_connections 1024; }\nhttp {\n    include conf.d/*.conf;\n}\n")
    return main


def crossplane_go(bench):
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(go):
        raise Unavailable("no Go compiler")
    bench.peers.mkdir(parents=True, exist_ok=True)
    folder, program = bench.top / "peers" / "crossplane-go", bench.peers / "crossplane-go"
    modules = bench.peers / "crossplane-go.mod"
    shutil.copy(folder / "go.mod", modules)
    source = os.environ.get("OTR_CROSSPLANE_GO")
    if source:
        bench.run([go, "mod", "edit", f"-replace={MODULE}={pathlib.Path(source).resolve()}", modules])
    try:
        bench.run([go, "-C", folder, "build", "-trimpath", "-mod=mod", "-modfile", modules, "-o", program, "."])
    except Unavailable as why:
        raise Unavailable(f"{why}; OTR_CROSSPLANE_GO may name a folder with the source of {MODULE}") from why
    return program


def crossplane(bench):
    """Python with the pinned package."""
    venv = bench.peers / "crossplane-venv"
    python = venv / "bin" / "python"
    if not list(venv.glob("lib/*/site-packages/crossplane/__init__.py")):
        bench.peers.mkdir(parents=True, exist_ok=True)
        bench.run([sys.executable, "-m", "venv", venv])
        bench.run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r",
                   bench.top.parent / "tests" / "interop" / "crossplane.txt"])
    return python


def compared(name, ours, peer, target):
    return Row(name=name, ours=ours, peer=peer, unit="ms", lower_is_better=True, ratio_at_least=target)


def measure(bench, main):
    ours = bench.binary("bench_language")
    go, pypi = bench.peer("crossplane-go", lambda: crossplane_go(bench)), bench.peer("crossplane", lambda: crossplane(bench))
    tree, theirs = [], []
    for _ in range(3):  # in turn: other work on the machine hits both
        tree.append(bench.figure([ours, main, "tree"], TIME))
        theirs.append(bench.peer_figure(go, [main, 1], TIME))
    theirs = next((t for t in theirs if isinstance(t, Unavailable)), None) or min(theirs)
    yield compared("24 MB to a tree, beside crossplane-go", min(tree), theirs, 20)
    slow = bench.peer_figure(pypi, ["-c", PYPI, main, 1], TIME, timeout=3000)
    yield compared("24 MB to a tree, beside crossplane of PyPI", min(tree), slow, 400)
    yield Row(name="the same: peak memory, beside crossplane-go", ours=bench.figure([ours, main, "tree", 1], MEMORY) / 1024,
              peer=megabytes(bench.peer_figure(go, [main, 1], MEMORY)), unit="MB", lower_is_better=True, ratio_at_least=4)
    for mode, name, at_most in (("json", "24 MB to JSON (nginx parse)", None), ("check", "24 MB checked (nginx check)", 1000)):
        yield Row(name=name, ours=bench.figure([ours, main, mode], TIME), unit="ms", lower_is_better=True, at_most=at_most)
        yield Row(name=f"{name}: peak memory", ours=bench.figure([ours, main, mode, 1], MEMORY) / 1024, unit="MB",
                  lower_is_better=True)


def megabytes(kilobytes):
    return kilobytes if isinstance(kilobytes, Unavailable) else kilobytes / 1024


def run(bench):
    with tempfile.TemporaryDirectory(prefix="otr-bench-") as folder:
        yield from measure(bench, make(pathlib.Path(folder)))
