"""The S3 gateway."""

from tests.lakefs.server.refusals import Refusal


class Gateway:
    def __init__(self, state):
        self._state = state

    def answer(self, request):
        raise Refusal(501, "not yet", code="NotImplemented")
