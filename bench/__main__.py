"""``python -m bench [ROW …]``: run the rows named, or all, and write the table."""

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from bench.pairs import RESULTS, record

ROOM = Path(__file__).parent


def rows() -> list[str]:
    return sorted(m.name for m in iter_modules([str(ROOM)]) if m.name.startswith("row_"))


def table() -> str:
    lines = [
        "| row | peer | ours | theirs | ratio (95 %) | target | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        for c in json.loads(path.read_text("utf-8"))["comparisons"]:
            mine, other = (sorted(c[k])[len(c[k]) // 2] for k in ("ours", "theirs"))
            low, high = c["interval"]
            lines.append(
                f"| {c['row']} | {c['peer']} | {mine:.4g} s | {other:.4g} s |"
                f" {c['ratio']:.3g} ({low:.3g}-{high:.3g}) | {c['target']:g} |"
                f" {'yes' if c['reached'] else 'no'} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    for name in sys.argv[1:] or rows():
        print(f"{name} …", flush=True)
        comparisons, figures = import_module(f"bench.{name}").run()
        print(f"  {record(name, comparisons, figures)}")
    (RESULTS / "table.md").write_text(table(), "utf-8")
    print(table())


if __name__ == "__main__":
    main()
