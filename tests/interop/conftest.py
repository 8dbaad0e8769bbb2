"""Every test ends: see tests/limit.py."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from limit import limited, pytest_configure  # noqa: E402, F401
