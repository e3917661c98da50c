"""Climate: what is known of a place alone, for points as well as for samples."""

from typing import Final

import pyarrow as pa

from registry.curate.features.definition import FeatureSet, Needs
from registry.curate.features.sets.context import MADE_OF, PLACE, of_places
from registry.curate.layers.placing import centres

__all__ = ["CLIMATE"]


def by_place(samples: pa.Table) -> pa.Table:
    """Return climate, country and coast of samples.

    Args:
        samples: With ``bbox``, as far as it is there.

    Returns:
        A column for each feature of the set, in the order of the samples.
    """
    return pa.table(of_places(*centres(samples)))


CLIMATE: Final = FeatureSet(
    name="climate",
    version=1,
    title="Climate zone, country and distance to the coast of each place",
    features=PLACE,
    needs=Needs(columns=("bbox",)),
    by_row=by_place,
    made_of=("registry.curate.features.sets.context", *MADE_OF),
)
"""What needs a place and no time."""
