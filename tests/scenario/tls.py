"""A TLS server on loopback whose certificate comes from a CA made here; what it answers is set path by path."""

import contextlib
import hashlib
import http.server
import pathlib
import ssl
import subprocess
import threading
import time


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """A CA and one certificate, for 127.0.0.1 and localhost unless `names` says otherwise."""

    def __init__(self, folder, name="ca", names="IP:127.0.0.1,DNS:localhost"):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / f"{name}.pem"
        self.chain = folder / f"{name}-server.pem"
        ca_key, key, csr, crt, ext = (folder / f"{name}-{part}" for part in ("ca.key", "key", "csr", "crt", "ext"))
        new = ("req", "-newkey", "rsa:2048", "-nodes")
        openssl(*new, "-x509", "-days", 2, "-keyout", ca_key, "-out", self.ca, "-subj", f"/CN={name}")
        openssl(*new, "-keyout", key, "-out", csr, "-subj", "/CN=localhost")
        ext.write_text(f"subjectAltName={names}\n")
        openssl("x509", "-req", "-days", 2, "-in", csr, "-CA", self.ca, "-CAkey", ca_key, "-CAcreateserial",
                "-extfile", ext, "-out", crt)
        self.chain.write_text(crt.read_text() + key.read_text())


class Server:
    """files[path] = bytes; redirects[path] = location; drips: paths that send a byte now and then."""

    def __init__(self, authority, port=0):
        self.files, self.redirects, self.drips = {}, {}, set()
        self.seen = []  # (path, If-None-Match)
        self.ended = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        class Threads(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args):
                pass

        self.http = Threads(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.chain)
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, handler):
        path = handler.path.split("?")[0]
        asked = handler.headers.get("If-None-Match")
        self.seen.append((path, asked))
        if path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[path])
            handler.end_headers()
        elif path in self.drips:
            self.drip(handler)
        elif path not in self.files:
            handler.send_error(404)
        else:
            self.send(handler, self.files[path], asked)

    @staticmethod
    def send(handler, body, asked):
        etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        handler.send_response(304 if asked == etag else 200)
        handler.send_header("ETag", etag)
        if asked != etag:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if asked != etag:
            with contextlib.suppress(OSError):
                handler.wfile.write(body)

    def drip(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not self.ended.is_set():
                handler.wfile.write(b"x")
                time.sleep(0.05)

    def url(self, path):
        return f"https://127.0.0.1:{self.port}{path}"

    def stop(self):
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()
