"""What a command leaves out so that it starts at once."""

import sys

__all__ = ["leave_out_pandas"]


def leave_out_pandas() -> None:
    """Keep pyarrow from loading pandas in this process, where it is installed for others' sake.

    pyarrow asks for it at the first array that it makes; it takes longer than a command's whole
    work often does, and no command needs it.
    """
    if "pandas" not in sys.modules:
        sys.meta_path.insert(0, _WithoutPandas())


class _WithoutPandas:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas" and "torch" not in sys.modules:  # torch asks whether it is installed
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
