"""Questions over refs in SQL, answered as Arrow; slices that can be cited."""

from registry.query.execution import run
from registry.query.limits import Limits

__all__ = ["Limits", "run"]
