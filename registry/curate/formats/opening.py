"""Files of arrays by their first bytes: HDF5 and netCDF 4, classic netCDF, NumPy's own.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).
"""

from registry.curate.formats.containers import Container
from registry.curate.formats.netcdf3 import open_netcdf3
from registry.curate.formats.npy import open_npy

__all__ = ["open_container"]


def open_container(data: bytes) -> Container:
    """Return what a file of arrays holds.

    Args:
        data: The whole file, which begins like one.

    Raises:
        UnreadableError: It is damaged, hostile, or of a kind that is not read.
    """
    if data.startswith(b"CDF"):
        return open_netcdf3(data)
    if data.startswith(b"\x93NUMPY"):
        return open_npy(data)
    from registry.curate.formats.hdf5 import open_hdf5  # late, because h5py takes its time

    return open_hdf5(data)
