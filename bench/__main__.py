"""``python -m bench [ROW …]``: run the rows named, or all, and write the table."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

from bench.ground import scale
from bench.pairs import record, results

ROOM = Path(__file__).parent
BESIDE = ROOM.parent / ".venv" / "bin" / "python"
"""The lab's own environment, which has what the peers' cannot hold."""


def rows() -> list[str]:
    return sorted(m.name for m in iter_modules([str(ROOM)]) if m.name.startswith("row_"))


def table() -> str:
    """Return what the results say, as Markdown."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(results().glob("row_*.json"))]
    lines = [
        "| row | peer | ours, s | theirs, s | processor, s | times as fast (95 %) | target | met |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    for c in (one for body in found for one in body["comparisons"]):
        mine, other = (sorted(c[k])[len(c[k]) // 2] for k in ("ours", "theirs"))
        low, high = c["interval"]
        lines.append(
            f"| {c['row']} | {c['peer']} | {mine:.3g} | {other:.3g} |"
            f" {c['our_processor']:.3g} : {c['their_processor']:.3g} |"
            f" {c['ratio']:.3g} ({low:.3g}–{high:.3g}) | {c['target']:g} |"  # noqa: RUF001 — a range
            f" {'yes' if c['reached'] else 'no'} |"
        )
    lines += ["", "| row | value | limit | met |", "|---|--:|--:|---|"]
    for f in (one for body in found for one in body["figures"]):
        limit = "" if f["limit"] is None else f"{f['limit']:g} {f['unit']}"
        reached = {True: "yes", False: "no", None: ""}[f["reached"]]
        lines.append(f"| {f['row']} | {f['value']:.3g} {f['unit']} | {limit} | {reached} |")
    return "\n".join(lines) + "\n"


def measured(name: str) -> None:
    """Run a row and write what it says, if it says anything."""
    row = import_module(f"bench.{name}")
    needed = getattr(row, "NEEDS", None)
    if needed and find_spec(needed) is None:
        _elsewhere(name, needed)
        return
    comparisons, figures = row.run()
    if comparisons or figures:
        print(f"  {record(name, comparisons, figures)}", flush=True)


def _elsewhere(name: str, needed: str) -> None:
    """Run a row in the lab's own environment, where this one lacks a package of it."""
    if not BESIDE.is_file() or Path(sys.prefix).resolve() == BESIDE.parents[1].resolve():
        print(f"  left out: there is no {needed}", flush=True)
        return
    said = f"from bench.__main__ import measured; measured({name!r})"
    subprocess.run([str(BESIDE), "-c", said], cwd=ROOM.parent, check=True)


def main() -> None:
    for name in sys.argv[1:] or rows():
        print(f"{name}, scale {scale():g} …", flush=True)
        measured(name)
    (results() / "table.md").write_text(table(), "utf-8")
    print(table())


if __name__ == "__main__":
    main()
