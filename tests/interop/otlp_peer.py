"""OpenTelemetry's own messages for Python, pinned; protobuf and gRPC are the distribution's."""

import hashlib
import os
import pathlib
import subprocess
import sys

WANTED = pathlib.Path(__file__).parent / "otlp.txt"


def install():
    """Makes `opentelemetry.proto` importable; installed once, beside the other peers."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "outrider" / "python"
    folder = cache / f"otlp-{hashlib.sha256(WANTED.read_bytes()).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--upgrade",
                        "--target", folder, "-r", WANTED], check=True, timeout=120)
        (folder / "complete").touch()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
