"""``python -m spark_jobs JOB``: run one job for whoever starts this.

The job's module is imported by its name, so that Spark's workers find what they are sent.
"""

import sys
from importlib import import_module
from typing import Final

JOBS: Final = ("bias", "features")


def main() -> None:
    """Run the job that is named first."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in JOBS:
        sys.exit(f"there is no job {name!r}: choose one of {', '.join(JOBS)}")
    import_module(f"spark_jobs.{name}").main()


if __name__ == "__main__":
    main()
