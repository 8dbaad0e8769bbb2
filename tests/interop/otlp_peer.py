"""OpenTelemetry's own messages for Python, pinned; protobuf and gRPC are the distribution's."""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

WANTED = pathlib.Path(__file__).parent / "otlp.txt"


def install():
    """Makes `opentelemetry.proto` importable; installed once, beside the other peers."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "outrider" / "python"
    folder = cache / f"otlp-{hashlib.sha256(WANTED.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():  # whole or not at all: two tests may do so at once
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as fresh:
            made = pathlib.Path(fresh) / "made"
            subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
                            "--target", made, "-r", WANTED], check=True, timeout=120)
            with contextlib.suppress(OSError):  # the other one was first
                made.rename(folder)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
