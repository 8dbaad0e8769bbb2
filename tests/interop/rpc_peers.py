"""What the tests of our gRPC layer share: rpc_probe as a child, servers of grpcio, certificates, proxies."""

import base64
import os
import pathlib
import queue
import select
import socket
import ssl
import subprocess
import threading
import time
from concurrent import futures
from urllib.parse import unquote

import grpc

PROBE = os.environ["RPC_PROBE"]
MANY = float(os.environ.get("RPC_WAIT", "120"))  # seconds that a test waits for what takes milliseconds
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Probe:
    """rpc_probe: says lines, hears lines of fields."""

    def __init__(self, role, **options):
        words = [f"{key}={value}" for key, value in options.items() if value is not None]
        self.process = subprocess.Popen([PROBE, role, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        self.seen = []
        self.errors = []
        self.readers = [threading.Thread(target=self.read, daemon=True),
                        threading.Thread(target=lambda: self.errors.append(self.process.stderr.read()), daemon=True)]
        for reader in self.readers:
            reader.start()

    def read(self):
        for line in self.process.stdout:
            word, *fields = line.rstrip("\n").split("\t")
            self.lines.put((word, {k: unquote(v) for k, _, v in (f.partition("=") for f in fields)}))
        self.lines.put(("eof", {}))

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def until(self, word, timeout=MANY, **wanted):
        """The fields of the next such line; whatever comes before it goes to `seen`."""
        end = time.monotonic() + timeout
        while True:
            try:
                got, fields = self.lines.get(timeout=max(0.001, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {word} {wanted} in {timeout} s; last: {self.seen[-5:]}") from None
            self.seen.append((got, fields))
            assert got != "eof" or word == "eof", f"the probe ended: {self.errors} after {self.seen[-5:]}"
            if got == word and all(fields.get(k) == v for k, v in wanted.items()):
                return fields

    def call(self, **options):
        """One call and its end, with `messages`, the small ones."""
        options = {"id": f"c{time.monotonic_ns()}", **options}
        self.start(**options)
        before = len(self.seen)
        end = self.until("closed", id=options["id"])
        self.until("done", id=options["id"])
        end["messages"] = [f["data"] for w, f in self.seen[before:] if w == "message" and f["id"] == options["id"]]
        end["first"] = next((f for w, f in self.seen[before:] if w == "headers" and f["id"] == options["id"]), {})
        return end

    def start(self, **options):
        self.say("call " + " ".join(f"{key}={value}" for key, value in options.items()))

    def info(self):
        self.say("info")
        return self.until("info")

    def wait(self, test, timeout=MANY):
        """Asks for info until the test holds."""
        end = time.monotonic() + timeout
        while True:
            info = self.info()
            if test(info):
                return info
            assert time.monotonic() < end, info
            time.sleep(0.02)

    def close(self):
        try:
            self.process.stdin.close()
            code = self.process.wait(MANY)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "hung"
        for reader in self.readers:
            reader.join(MANY)
        assert code in (0, 1), f"exit {code}: {self.errors}"
        assert "Sanitizer" not in "".join(self.errors), self.errors[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.process.kill()
            self.process.wait()


class Server:
    """grpcio's server with the methods that the tests call."""

    def __init__(self, credentials=None, options=(), address="127.0.0.1:0", workers=16):
        self.seen = []
        self.release = threading.Event()
        self.server = grpc.server(futures.ThreadPoolExecutor(workers), options=[*UNLIMITED, *options])
        self.server.add_generic_rpc_handlers((Methods(self),))
        if credentials is None:
            self.port = self.server.add_insecure_port(address)
        else:
            self.port = self.server.add_secure_port(address, credentials)
        self.server.start()
        self.target = f"127.0.0.1:{self.port}"

    def stop(self, grace=0):
        self.release.set()
        return self.server.stop(grace)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop().wait(MANY)


class Methods(grpc.GenericRpcHandler):
    def __init__(self, owner):
        self.owner = owner

    def service(self, details):
        name = details.method.rpartition("/")[2]
        self.owner.seen.append((name, dict(details.invocation_metadata)))
        return {
            "Unary": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
            "Echo": grpc.stream_stream_rpc_method_handler(lambda requests, context: requests),
            "Count": grpc.stream_unary_rpc_method_handler(
                lambda requests, context: str(sum(len(r) for r in requests)).encode()),
            "Pour": grpc.unary_stream_rpc_method_handler(self.pour),
            "Status": grpc.unary_unary_rpc_method_handler(self.status),
            "Metadata": grpc.unary_unary_rpc_method_handler(self.metadata),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Early": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"early"),
            "Gzip": grpc.unary_unary_rpc_method_handler(self.gzip),
        }.get(name)

    def pour(self, request, context):
        count, size = map(int, request.split())
        for _ in range(count):
            yield bytes(size)

    def status(self, request, context):
        code, _, text = request.decode().partition("_")
        context.set_trailing_metadata((("x-why", "asked"), ("x-raw-bin", b"\0\1\xff")))
        context.abort(next(c for c in grpc.StatusCode if c.value[0] == int(code)), text)

    def metadata(self, request, context):
        back = tuple((k, v) for k, v in context.invocation_metadata() if k.startswith("x-"))
        context.send_initial_metadata(back)
        context.set_trailing_metadata(back)
        return request

    def hang(self, request, context):
        self.owner.release.wait(MANY)
        return b""

    def gzip(self, request, context):
        context.set_compression(grpc.Compression.Gzip)
        return bytes(int(request))


def openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


class Authority:
    """A CA; issue() makes certificates of it."""

    def __init__(self, folder, name="ca"):
        self.folder = pathlib.Path(folder)
        self.name = name
        self.ca = self.folder / f"{name}.pem"
        self.key = self.folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-keyout", self.key, "-out", self.ca, "-subj", f"/CN={name}")

    def issue(self, name, names="DNS:localhost,IP:127.0.0.1", days=2):
        cert, key, csr, ext = (self.folder / f"{self.name}-{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", csr,
                "-subj", f"/CN={name}")
        ext.write_text(f"subjectAltName={names}\n")
        openssl("x509", "-req", "-days", days, "-in", csr, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial",
                "-extfile", ext, "-out", cert)
        return cert, key


def server_credentials(authority, cert, key, client=False):
    return grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())],
                                       authority.ca.read_bytes() if client else None, client)


class Listener:
    """A socket that hands each connection to a function in a thread of its own."""

    def __init__(self, serve, context=None):
        self.serve, self.context = serve, context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.target = f"127.0.0.1:{self.port}"
        self.open, self.accepted = [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.accepted += 1
            self.open.append(peer)
            threading.Thread(target=self.run, args=(peer,), daemon=True).start()

    def run(self, peer):
        try:
            if self.context is not None:
                peer = self.context.wrap_socket(peer, server_side=True)
            self.serve(peer)
        except (OSError, EOFError):
            pass
        finally:
            peer.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for peer in self.open:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Proxy(Listener):
    """An HTTP CONNECT proxy. `wants` is the value of Proxy-Authorization; `answer` replaces what it says; `server` is
    where it leads, whoever is asked for, as names of tests do not resolve."""

    def __init__(self, server=None, wants=None, answer=None, cert=None, before=b""):
        context = None
        if cert is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*cert)
        self.server, self.wants, self.answer, self.before = server, wants, answer, before
        self.requests = []
        super().__init__(self.tunnel, context)

    def tunnel(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(1)
            if not more:
                return
            head += more
        self.requests.append(head.decode())
        lines = head.decode().split("\r\n")
        said = next((line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-authorization:")), None)
        if self.answer is not None:
            client.sendall(self.answer)
            client.recv(1)  # until the other side has had enough
            return
        if self.wants is not None and said != self.wants:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.port)) as server:
            client.sendall(self.before + b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            pump(client, server)


def pump(a, b):
    """Bytes both ways until one end is done."""
    while True:
        ready = [s for s in (a, b) if isinstance(s, ssl.SSLSocket) and s.pending()]
        if not ready:
            ready, _, _ = select.select([a, b], [], [])
        for s in ready:
            data = s.recv(65536)
            if not data:
                return
            (b if s is a else a).sendall(data)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
