"""One side of a comparison: a process that loads guests and calls them, by the commands that driver.c describes."""

import dataclasses
import selectors
import subprocess

ANSWER_S = 60  # a reference may hang for good


@dataclasses.dataclass(frozen=True)
class Answer:
    kind: str  # "ok", or the class of the failure
    data: bytes  # the output, or the text of the failure
    logs: tuple = ()  # ("info", text), ("publish", topic, data)

    def __str__(self):
        data = self.data if len(self.data) <= 600 else self.data[:300] + b" ... " + self.data[-300:]
        return f"{self.kind} {data!r} {list(self.logs) or ''}"


def unhex(text):
    return b"" if text == "-" else bytes.fromhex(text)


def tohex(data):
    return data.hex() or "-"


HUNG = b"hung"


class Side:
    def __init__(self, name, command, env=None, patience=ANSWER_S):
        self.name, self.command, self.env, self.patience = name, [str(word) for word in command], env, patience
        self.process = None

    def ask(self, line):
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.env
            )
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
            answer = self.read_line()
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):
            return self.give_up("died" if answer is not HUNG else "hung")
        answer = answer.decode().rstrip("\n")
        state, *words = answer.split(" ")
        kind = "ok" if state == "ok" else words.pop(0)
        return Answer(kind, unhex(words[0]), parse_logs(words[1]))

    def read_line(self):
        """A line; less when the process ended, HUNG when it says nothing for ANSWER_S."""
        with selectors.DefaultSelector() as wait:
            wait.register(self.process.stdout, selectors.EVENT_READ)
            return self.process.stdout.readline() if wait.select(self.patience) else HUNG

    def give_up(self, how):
        self.process.kill()
        code = self.process.wait()
        self.process.stdin = self.process.stdout = None
        self.process = None
        return Answer(how, f"{self.name}: {how}, {code}".encode())

    def load(self, path, **options):
        words = [f"load {path}"]
        for key, value in options.items():
            if key == "config":
                words += [f"config={tohex(k.encode())}:{tohex(v.encode())}" for k, v in value.items()]
            elif key == "modules":
                words += [f"module={name}:{file}" for name, file in value.items()]
            else:
                words.append(f"{key}={value}")
        return self.ask(" ".join(words))

    def fresh(self):
        return self.ask("fresh")

    def call(self, operation, data=b""):
        return self.ask(f"call {tohex(operation.encode())} {tohex(data)}")

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            code = self.process.wait(timeout=60)
            self.process.stdout.close()
            self.process = None
            return code
        return 0


def parse_logs(text):
    if text == "-":
        return ()
    return tuple(
        (kind, *(bytes.fromhex(part) for part in parts))
        for kind, *parts in (item.split(":") for item in text.split(","))
    )
