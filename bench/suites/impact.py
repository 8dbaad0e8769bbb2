"""What a change of a large configuration means: a plan and a question to plugins must not be waited for."""

import pathlib
import tempfile

from harness import Row

FILES, FILE_BYTES, LIMIT_MS = 100, 240_000, 200
SITE = """server {{
    listen 10.0.{file}.{octet}:8080;
    server_name s{n}.example.com www.s{n}.example.com "~^(?<name>.+)\\.s{n}\\.net$";
    access_log /var/log/nginx/s{n}.log combined buffer=32k;
    root /srv/www/s{n};
    location / {{
        proxy_pass http://backend_{backend};
        proxy_set_header Host $host;
        add_header Strict-Transport-Security "max-age=31536000; includeSubDomains" always;
    }}
    location ~ \\.php$ {{
        fastcgi_pass unix:/run/php/s{n}.sock;
        if ($request_method = POST) {{ return 405; }}
    }}
}}
"""
MAIN = "worker_processes auto;\nevents { worker_connections 1024; }\nhttp {\n    include conf.d/*.conf;\n}\n"
# What changes: a name for the row, the file, what becomes what, the limit or None.
CHANGES = (
    ("one site", "conf.d/050.conf", "backend_1;", "backend_x;", LIMIT_MS),
    ("a directive of http", "nginx.conf", "http {", "http { gzip on;", None),
    ("an upstream that every file names", "nginx.conf", "http {", "http { upstream backend_7 { server a; }", None),
)


def write(folder):
    (folder / "conf.d").mkdir()
    (folder / "nginx.conf").write_text(MAIN)
    for file in range(FILES):
        text, n = [], 0
        size = 0
        while size < FILE_BYTES:
            n += 1
            text.append(SITE.format(file=file, octet=n % 250, n=n, backend=n % 17))
            size += len(text[-1])
        (folder / "conf.d" / f"{file:03}.conf").write_text("".join(text))


def run(bench):
    program = bench.binary("bench_impact")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write(folder)
        for what, file, old, new, limit in CHANGES:
            command = [program, str(folder / "nginx.conf"), str(folder / file), old, new]
            ms = bench.figure(command, r"^impact_ms ([0-9.]+)$") + bench.figure(command, r"^payload_ms ([0-9.]+)$")
            yield Row(
                name=f"24 MB in 101 files, {what} changes: diff, what it touches, question",
                ours=ms,
                unit="ms",
                lower_is_better=True,
                at_most=limit,
            )
