"""What the server says no with: a status and a message, in either dialect."""

__all__ = ["Refusal", "missing"]


class Refusal(Exception):  # noqa: N818 — it is an answer, not a bug
    """An answer other than success.

    ``body`` replaces the message on the API where the real server sends another shape; ``code``
    is what the S3 gateway calls it.
    """

    def __init__(self, status, message, *, code="", body=None, headers=()):
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.code = code
        self.body = body
        self.headers = dict(headers)


def missing(what):
    return Refusal(404, f"{what}: not found", code="NoSuchBucket")
