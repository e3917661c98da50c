"""A lakeFS server of our own for tests: the documented API, and how a real one was seen to behave.

It stands in for a real server where none is named; ``make test-lakefs`` runs the same tests
against a real one.
"""

from tests.lakefs.server.chosen import RealServer, chosen_server
from tests.lakefs.server.faults import Fault, Faults
from tests.lakefs.server.serving import FakeLakeFS, running_server

__all__ = ["FakeLakeFS", "Fault", "Faults", "RealServer", "chosen_server", "running_server"]
