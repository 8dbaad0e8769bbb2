"""A well-behaved plugin beside hostile ones: who attacks, and how late its messages come meanwhile."""

import datetime
import os
import re
import socket
import threading
import time

from support import entry, wait_for

TICK = "nginx.metrics.sampled"
PAIR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\d+)")

# Files of the hostile corpus by class of attack, each loaded `COPIES` times: more than there are workers.
COPIES = 3
ATTACKS = {
    "loop in process": ["loop-process-extism", "loop-process-wapc"],
    "memory growth": ["grow-and-touch-extism", "grow-and-touch-wapc"],
    "host-call flood": ["flood-clock.now-extism", "flood-random.bytes-wapc", "flood-kv.put-extism"],
    "publish storm": ["publish-storm-extism", "flood-publish-wapc"],
    "log storm": ["log-storm-extism", "flood-log-wapc"],
    "dripping HTTP": ["http-drip-extism", "http-drip-wapc"],
    "trap storm": ["trap-process-extism", "trap-process-wapc"],
}


class Drip:
    """A server on loopback that answers each request with a byte a second, for ever."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ended = threading.Event()
        self.served = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.ended.is_set():
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.served += 1
            threading.Thread(target=self.drip, args=(client,), daemon=True).start()

    def drip(self, client):
        try:
            client.recv(4096)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not self.ended.wait(1):
                client.sendall(b".")
        except OSError:
            pass
        finally:
            client.close()

    def close(self):
        self.ended.set()
        self.socket.close()


def attackers(hostile, names, drip, copies=COPIES):
    """`load:` entries; each attacker hears the same ticks as the well-behaved one."""
    loaded = []
    for n, name in enumerate(sorted(names * copies)):
        loaded.append(
            entry(
                os.path.abspath(hostile / f"{name}.wasm"),
                name=f"attacker-{n}",
                subscribe=[TICK],
                grants={
                    "publish": ["test.*"],
                    "kv_bytes": "1MiB",
                    "metrics": 10,
                    "http": [f"http://127.0.0.1:{drip.port}/*"],
                },
                restart={"failures": 1000, "backoff": "10ms", "backoff_max": "10ms"},
                config={"url": f"http://127.0.0.1:{drip.port}/drip"},
            )
        )
    return loaded


def configure(agent, pace, attacks, interval="200ms"):
    agent.settings["outrider"]["metrics"]["interval"] = interval
    agent.settings["log"]["level"] = "info"
    agent.settings["plugins"]["store"] = str(agent.home / "plugins.db")
    agent.settings["plugins"]["load"] = [entry(os.path.abspath(pace), name="pace"), *attacks]
    agent.write_config()


def lateness_ms(text):
    """From the log: how late each message came. The envelope's time is cut to a millisecond, so each
    figure is up to one more than it was."""
    late = []
    for made, came_ns in PAIR.findall(text):
        at = datetime.datetime.fromisoformat(made.replace("Z", "+00:00"))
        late.append(int(came_ns) / 1e6 - at.timestamp() * 1e3)
    return late


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure(agent, seconds):
    """How late the messages of `pace` came over the next seconds."""
    begin = len(agent.text())
    time.sleep(seconds)
    wait_for(lambda: lateness_ms(agent.text()[begin:]), "the well-behaved plugin says something")
    return lateness_ms(agent.text()[begin:])


def struck(agent):
    """What the attackers have been through, summed."""
    keys = ("calls", "errors", "traps", "timeouts", "logs_dropped", "publish_dropped")
    seen = [p for p in agent.api("status")["plugins"] if p["name"].startswith("attacker-")]
    return {key: sum(p.get(key, 0) for p in seen) for key in keys}
