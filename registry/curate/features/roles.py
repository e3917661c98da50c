"""What the assets of a version are for: to learn from, or to be learnt."""

from typing import Final

from registry.catalog.card.spec import AssetSpec, Spec

__all__ = ["role_of"]

_LABELS: Final = frozenset({"label", "labels", "mask", "masks", "target"})  # where nobody says


def role_of(spec: Spec, asset: str) -> str:
    """Return what an asset is for: as the card says, else by the values it names, or its name.

    Args:
        spec: Of the version.
        asset: The asset's name.

    Returns:
        ``data``, ``labels`` or another role that the card says.

    Examples:
        >>> spec = Spec(name="burns", assets={"scars": AssetSpec(values={0: "land", 1: "burnt"})})
        >>> [role_of(spec, name) for name in ("s2", "scars", "Mask")]
        ['data', 'labels', 'labels']
    """
    said = spec.assets.get(asset, AssetSpec())
    return said.role or ("labels" if said.values or asset.lower() in _LABELS else "data")
