"""Every check there is, in the order they are reported."""

from registry.curate.quality.check import Check
from registry.curate.quality.checks.annotations import ANNOTATIONS
from registry.curate.quality.checks.checksum import CHECKSUM
from registry.curate.quality.checks.constant import CONSTANT
from registry.curate.quality.checks.crs import CRS
from registry.curate.quality.checks.duplicates import DUPLICATES
from registry.curate.quality.checks.footprint import FOOTPRINT, MISSING_FOOTPRINT
from registry.curate.quality.checks.left_out import LEFT_OUT
from registry.curate.quality.checks.lfs_pointer import LFS_POINTER
from registry.curate.quality.checks.missing_mask import MISSING_MASK
from registry.curate.quality.checks.missing_pair import MISSING_PAIR
from registry.curate.quality.checks.nan import NAN
from registry.curate.quality.checks.relations import EMPTY, ORPHANS
from registry.curate.quality.checks.rights import LICENCE, PROVIDER
from registry.curate.quality.checks.shape_mismatch import SHAPE_MISMATCH
from registry.curate.quality.checks.times import MISSING_TIME, TIME
from registry.curate.quality.checks.unknown_classes import UNKNOWN_CLASSES
from registry.curate.quality.checks.unreadable import UNREADABLE
from registry.curate.quality.checks.wrapped import WRAPPED

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = (
    EMPTY,
    UNREADABLE,
    CHECKSUM,
    LFS_POINTER,
    ORPHANS,
    MISSING_PAIR,
    MISSING_MASK,
    SHAPE_MISMATCH,
    NAN,
    CONSTANT,
    WRAPPED,
    DUPLICATES,
    CRS,
    MISSING_FOOTPRINT,
    FOOTPRINT,
    MISSING_TIME,
    TIME,
    LICENCE,
    PROVIDER,
    UNKNOWN_CLASSES,
    ANNOTATIONS,
    LEFT_OUT,
)
"""The rule set."""
