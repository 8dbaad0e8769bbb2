"""A configuration of 24 MB in 101 files: read file by file, each into its tree, beside crossplane-go and PyPI's crossplane, in
the same run; written as JSON, and checked by all rules.

Where Go's proxy cannot be had, OTR_CROSSPLANE_GO names a folder with the source of crossplane-go (a
clone of github.com/nginxinc/nginx-go-crossplane)."""

import os
import pathlib
import re
import shutil
import sys
import tempfile

from harness import Row, Unavailable

TIME, CPU, MEMORY = r"([0-9.]+) ms$", r"([0-9.]+) ms of CPU", r"([0-9]+) kB"
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
started, cpu = time.perf_counter(), time.process_time()
payload = crossplane.parse(sys.argv[1])
took, cpu = time.perf_counter() - started, time.process_time() - cpu
assert payload["status"] == "ok", payload["errors"][:1]
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(f"{len(payload['config'])} files\\n{took * 1000:.2f} ms\\n{cpu * 1000:.2f} ms of CPU\\n{peak} kB")
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
    shutil.copy(folder / "go.sum", modules.with_suffix(".sum"))
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


def figures(bench, program, arguments):
    """[time, CPU time, peak memory] of one run, or the Unavailable that kept it from being one."""
    try:
        out = bench.run([program, *arguments], timeout=3000) if not isinstance(program, Unavailable) else None
    except Unavailable as why:
        return why
    return program if out is None else [float(re.search(what, out, re.MULTILINE).group(1)) for what in (TIME, CPU, MEMORY)]


def least(runs):
    """The best of each figure."""
    broken = [run for run in runs if isinstance(run, Unavailable)]
    return broken[0] if broken else [min(figure) for figure in zip(*runs)]


def compared(name, ours, peer, which, target=None):
    return Row(name=name, ours=ours[which], peer=peer if isinstance(peer, Unavailable) else peer[which], unit="ms",
               lower_is_better=True, ratio_at_least=target)


def measure(bench, main):
    program = bench.binary("bench_language")
    go, pypi = bench.peer("crossplane-go", lambda: crossplane_go(bench)), bench.peer("crossplane", lambda: crossplane(bench))
    ours, theirs = [], []
    for _ in range(4):  # in turn: other work on the machine hits both
        ours.append(figures(bench, program, [main, "each"]))
        theirs.append(figures(bench, go, [main, 1]))
    ours, theirs = least(ours), least(theirs)
    if isinstance(ours, Unavailable):
        raise ours
    slow = figures(bench, pypi, ["-c", PYPI, main])
    yield compared("24 MB read, beside crossplane-go", ours, theirs, 0, 20)
    yield compared("24 MB read, beside crossplane-go: CPU", ours, theirs, 1)
    yield compared("24 MB read, beside crossplane of PyPI", ours, slow, 0, 400)
    yield compared("24 MB read, beside crossplane of PyPI: CPU", ours, slow, 1)
    yield Row(name="24 MB read, beside crossplane-go: peak memory", ours=ours[2] / 1024,
              peer=theirs if isinstance(theirs, Unavailable) else theirs[2] / 1024, unit="MB", lower_is_better=True,
              ratio_at_least=4)
    for mode, name, at_most in (("tree", "24 MB as one tree", None), ("json", "24 MB to JSON (nginx parse)", None),
                                ("check", "24 MB checked (nginx check)", 1000)):
        took, cpu, memory = least([figures(bench, program, [main, mode]), figures(bench, program, [main, mode, 1])])
        yield Row(name=name, ours=took, unit="ms", lower_is_better=True)
        yield Row(name=f"{name}: CPU", ours=cpu, unit="ms", lower_is_better=True, at_most=at_most)
        yield Row(name=f"{name}: peak memory", ours=memory / 1024, unit="MB", lower_is_better=True)


def run(bench):
    with tempfile.TemporaryDirectory(prefix="otr-bench-") as folder:
        yield from measure(bench, make(pathlib.Path(folder)))
