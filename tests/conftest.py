"""What every kind of test shares: the S3 servers, repeatable properties, the effort of suites."""

import json
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import servers
from tests.effort import Effort, Plan, line_of

# The same cases every time, and no limit on how long one may take.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

PLAN = pytest.StashKey[Plan]()


class Figures:
    """Gathers what the suites counted, also in the processes of pytest-xdist, and shows it."""

    def __init__(self) -> None:
        self.of_suite: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == "figures":
                    suite, counts = json.loads(str(value))
                    self.of_suite.setdefault(suite, Counter()).update(counts)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        if self.of_suite:
            terminalreporter.section(f"figures of the suites, seed {config.stash[PLAN].seed}")
        for suite, counts in self.of_suite.items():
            terminalreporter.write_line(line_of(suite, counts))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("effort", "effort of the heavy suites (tests/effort.py)")
    seed = int(os.environ.get("COGNITOFS_TEST_SEED", "0"))
    group.addoption("--seed", type=int, default=seed, help="decides everything random")
    group.addoption("--rounds", type=int, default=0, help="rounds of each suite")
    group.addoption("--minutes", type=float, default=0.0, help="time of all suites together")


def pytest_configure(config: pytest.Config) -> None:
    options = config.option
    config.stash[PLAN] = Plan(options.seed, options.rounds, options.minutes)
    config.pluginmanager.register(Figures())


def pytest_collection_finish(session: pytest.Session) -> None:
    suites = (item for item in session.items if "effort" in getattr(item, "fixturenames", ()))
    session.config.stash[PLAN].suites_left = sum(1 for _ in suites)


@pytest.fixture
def effort(request: pytest.FixtureRequest) -> Iterator[Effort]:
    """How much is to be done of the suite that this test is, and where it counts."""
    effort = Effort(request.config.stash[PLAN])
    yield effort
    figures = json.dumps([request.node.originalname, effort.counts])
    request.node.user_properties.append(("figures", figures))


@pytest.fixture(scope="session")
def moto_server() -> Iterator[servers.S3Server]:
    with servers.moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[servers.S3Server]:
    with servers.seaweedfs() as server:
        yield server


@pytest.fixture(scope="session")
def strict_s3() -> Iterator[servers.S3Server]:
    with servers.strict_s3() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of whoever runs the tests out of them."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
