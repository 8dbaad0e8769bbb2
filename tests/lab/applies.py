"""Changes of configurations as a user asks for them: a tar to the admin socket, and what came of it."""

import contextlib
import http.client
import io
import json
import pathlib
import socket
import tarfile
import urllib.parse

from lab import until

OUTCOMES = {"applied", "unchanged", "denied", "invalid", "rolled-back", "rollback-failed", "superseded", "failed", "planned"}


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def send(self, data):
        with contextlib.suppress(BrokenPipeError):  # refused already: the answer says why
            super().send(data)


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(str(name))
            data = text if isinstance(text, bytes) else text.encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def post(agent, path, body=b"", **query):
    """(status, body as JSON) of one request on the admin socket."""
    client = Unix(agent.socket)
    client.request("POST", f"{path}?{urllib.parse.urlencode(query, doseq=True)}", body=body)
    answer = client.getresponse()
    data = answer.read().decode()
    client.close()
    return answer.status, json.loads(data)


def begin(agent, files, server=None, **query):
    """Sends the change and returns the connection: finish() waits for the answer."""
    if server is not None:
        query["instance"] = str(server.conf)
    client = Unix(agent.socket)
    client.request("POST", f"/api/v1/config/apply?{urllib.parse.urlencode(query, doseq=True)}", body=tar_of(files))
    return client


def finish(client):
    answer = client.getresponse()
    data = json.loads(answer.read())
    client.close()
    assert answer.status == 200, data
    assert data["result"] in OUTCOMES
    return data


def apply(agent, files, server=None, **query):
    """The result of a change of the files {name: text}, relative to the folder of nginx.conf."""
    return finish(begin(agent, files, server, **query))


def stream(agent, files, server=None, **query):
    """The events of a change, up to its result."""
    client = begin(agent, files, server, progress=1, **query)
    answer = client.getresponse()
    assert answer.status == 200
    events = [json.loads(line[5:]) for line in answer.read().decode().splitlines() if line.startswith("data:")]
    client.close()
    return events


def applies(agent):
    return agent.api("config/applies")


def finished(agent, id=None):
    """The events nginx.config.apply.finished seen so far."""
    return [e["data"] for e in agent.events("nginx.config.apply.finished") if id is None or e["data"]["id"] == id]


def wait_finished(agent, id):
    return until(lambda: finished(agent, id), f"{id} is finished")[0]


def hidden(server):
    """What is left of transactions beside the files."""
    return [str(p) for p in pathlib.Path(server.dir).rglob(".outrider*")]


def agent_for(lab, folders=("/run/lab", "/etc/nginx"), config=None, **options):
    """An agent that may change what lies below `folders`."""
    extra = options.pop("extra", {})
    outrider = {"config": config or {}, **extra.get("outrider", {})}
    return lab.agent(extra={**extra, "allowed_directories": [*folders], "outrider": outrider}, **options)
