"""Factories and profiles that every part of the suite shares."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("deterministic")

PROJECT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell, which then ignores Ctrl-C for all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def ungated():
    """Return what publishes a draft's next state as if a report had passed it."""

    def publish(registry, draft, write, message="first"):
        repository = draft.repository
        main = repository.resolve("main")
        with repository.workspace(draft.branch) as workspace:
            write(workspace.path)
            commit = workspace.commit(message, metadata={"verdict": "passed"}).id
        repository.advance("main", to=commit, expected=main)
        return registry.release(draft.dataset, commit=commit, message=message)

    return publish


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skip into a failure where the environment promises every part."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("EOLAB_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although EOLAB_NO_SKIP is set: {report.longrepr}"
