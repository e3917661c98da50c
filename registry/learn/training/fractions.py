"""Some of the training samples, for learning from few labels."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from registry.catalog.version import Version

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["chosen_share", "kept_slice"]


def chosen_share(samples: Sequence[tuple[str, str]], *, share: float, seed: int) -> tuple[str, ...]:
    """Return a share of the samples, of each stratum alike, at least one of each.

    A larger share holds all samples of a smaller one of the same seed.

    Args:
        samples: Id and stratum of each.
        share: In (0, 1].
        seed: Decides which.

    Returns:
        Ids, sorted.

    Examples:
        >>> chosen_share([("a", "sea"), ("b", "sea"), ("c", "ship")], share=0.5, seed=0)
        ('b', 'c')
    """
    strata: dict[str, list[str]] = defaultdict(list)
    for name, stratum in samples:
        strata[stratum].append(name)
    chosen: list[str] = []
    for names in strata.values():
        names.sort(key=lambda name: (hashlib.sha256(f"{seed}/{name}".encode()).digest(), name))
        chosen += names[: ceil(share * len(names))]
    return tuple(sorted(chosen))


def kept_slice(
    registry: "Registry", version: Version, ids: Sequence[str], *, share: float, seed: int
) -> str:
    """Keep a share of some samples as a slice, so that the model's lineage names them.

    Args:
        registry: Where it is kept.
        version: The samples' version.
        ids: Of which samples.
        share: In (0, 1].
        seed: Decides which.

    Returns:
        The slice's id.
    """
    from registry.query.slices import slice as keep

    wanted = set(ids)
    table = version.table("samples", ["id", "label"])
    pairs = zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True)
    strata = [(name, "/".join(label or ())) for name, label in pairs if name in wanted]
    chosen = chosen_share(strata, share=share, seed=seed)
    listed = ", ".join("'" + name.replace("'", "''") + "'" for name in chosen)
    ref = f"{version.dataset}@{version.tag or version.commit.id}"
    text = f'SELECT id FROM "{ref}".samples WHERE id IN ({listed})'  # noqa: S608 — quoted above, and run in the locked child
    return keep(registry, text, message=f"{share:.0%} of the labels, seed {seed}").id
