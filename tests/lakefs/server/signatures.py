"""AWS Signature Version 4, checked as S3 checks it: in the header or, pre-signed, in the query."""

import hashlib
import hmac
import re
from urllib.parse import quote

from tests.lakefs.server.refusals import Refusal

__all__ = ["verify"]

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]+)"
)


def verify(request, keys):
    """Refuse a request that none of the keys signed.

    References:
        https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    signed = _HEADER.match(request.headers.get("Authorization", ""))
    if signed:
        credential, names, signature = signed.groups()
        at, payload = request.headers["x-amz-date"], request.headers["x-amz-content-sha256"]
    elif "X-Amz-Signature" in request.query:
        credential, names = request.query["X-Amz-Credential"], request.query["X-Amz-SignedHeaders"]
        signature, at = request.query["X-Amz-Signature"], request.query["X-Amz-Date"]
        payload = "UNSIGNED-PAYLOAD"
    else:
        raise Refusal(400, "authorization is missing fields", code="MissingFields")
    key, _, scope = credential.partition("/")
    if key not in keys:
        raise Refusal(403, f"no such access key: {key}", code="InvalidAccessKeyId")
    canonical = _canonical(request, names, payload)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}"
    expected = hmac.new(_signing_key(keys[key], scope), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise Refusal(403, "the signature does not match", code="SignatureDoesNotMatch")


def _canonical(request, names, payload):
    pairs = sorted(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in request.pairs
        if name != "X-Amz-Signature"
    )
    headers = "".join(
        f"{name}:{' '.join((request.headers.get(name) or '').split())}\n"
        for name in names.split(";")
    )
    path = quote(request.path, safe="/-_.~")
    return "\n".join((request.method, path, "&".join(pairs), headers, names, payload))


def _signing_key(secret, scope):
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
