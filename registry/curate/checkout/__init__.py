"""Files come back: a version as a folder that other programs read, and what that cannot keep."""

from registry.curate.checkout.report import CheckoutReport
from registry.curate.checkout.writing import checkout

__all__ = ["CheckoutReport", "checkout"]
