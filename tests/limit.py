"""No test runs for longer than LIMIT seconds: one that hangs fails with the place where it stood, and the others go on.

ctest's own limit is for a file and ends it without a word. `from limit import limited` in a conftest.py turns it on; a
test that has to run longer says so: `@pytest.mark.seconds(900)`.
"""

import signal

import pytest

LIMIT = 300


@pytest.fixture(autouse=True)
def limited(request):
    mark = request.node.get_closest_marker("seconds")
    seconds = mark.args[0] if mark else LIMIT

    def late(signum, frame):
        pytest.fail(f"the test still ran after {seconds} s")  # no Exception: nothing that waits swallows it

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): the test may run for n seconds")
