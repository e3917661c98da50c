"""Lists a page at a time, as every listing of the API does."""

from bisect import bisect_left, bisect_right

from tests.lakefs.server.refusals import Refusal

__all__ = ["MOST", "grouped", "page", "paged"]

MOST = 1000


def page(request):
    """Return how many a request asks for."""
    amount = int(request.query.get("amount", 100))
    if amount > MOST or amount < -1:
        raise Refusal(400, f"amount {amount} is out of range")
    return amount if amount > 0 else MOST


def paged(request, found, *, name):
    """Answer with one page of documents; ``name`` gives what the next page starts after."""
    amount = page(request)
    results, rest = found[:amount], found[amount:]
    return {
        "pagination": {
            "has_more": bool(rest),
            "next_offset": name(results[-1]) if rest else "",
            "results": len(results),
            "max_per_page": MOST,
        },
        "results": results,
    }


def grouped(paths, *, prefix="", after="", delimiter="", limit):
    """Yield ``(path, is_common_prefix)`` in order, from sorted paths, ``limit`` at most."""
    at = max(bisect_left(paths, prefix), bisect_right(paths, after))
    while at < len(paths) and limit and paths[at].startswith(prefix):
        path = paths[at]
        head, found, _ = path[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if not found:
            yield path, False
            at += 1
            limit -= 1
            continue
        common = prefix + head + delimiter
        if common > after:
            yield common, True
            limit -= 1
        at = bisect_left(paths, common + "\U0010ffff", at)
