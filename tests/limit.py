"""No test runs for longer than LIMIT seconds: one that hangs fails with the place where it stood, and the others go on.

ctest's own limit is for a file and ends it without a word. `from limit import pytest_configure` in a conftest.py turns it
on, for set-up and tear-down too, those of a whole file included; a test that has to run longer says so:
`@pytest.mark.seconds(900)`.
"""

import contextlib
import signal

import pytest

LIMIT = 300


@contextlib.contextmanager
def limited(item, phase):
    mark = item.get_closest_marker("seconds")
    seconds = mark.args[0] if mark else LIMIT

    def late(signum, frame):
        pytest.fail(f"{phase} still ran after {seconds} s")  # no Exception: nothing that waits swallows it

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Limits:
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self, item):
        with limited(item, "the set-up"):
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        with limited(item, "the test"):
            yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_teardown(self, item):
        with limited(item, "the tear-down"):
            yield


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): the test may run for n seconds")
    config.pluginmanager.register(Limits())
