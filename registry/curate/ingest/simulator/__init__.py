"""Scenes that never were, whose truth is known: material for demos, tests and benchmarks.

Pixels are reflectance times 10000 of land that is laid out in the manner of real places and
georeferenced there; everything follows from a seed.
"""

from registry.curate.ingest.simulator.batches import SimulatedBatch, batches
from registry.curate.ingest.simulator.chips import (
    SimulatedAnnotation,
    SimulatedAsset,
    SimulatedChip,
)
from registry.curate.ingest.simulator.defects import DEFECTS
from registry.curate.ingest.simulator.folders import LAYOUTS, WrittenFolder, write_folder
from registry.curate.ingest.simulator.places import PLACES, Place
from registry.curate.ingest.simulator.sheets import contact_sheet, true_colour
from registry.curate.ingest.simulator.simulation import simulate
from registry.curate.ingest.simulator.synthetic import samples_batches, samples_table
from registry.curate.ingest.simulator.tasks import TASKS, Task

__all__ = [
    "DEFECTS",
    "LAYOUTS",
    "PLACES",
    "TASKS",
    "Place",
    "SimulatedAnnotation",
    "SimulatedAsset",
    "SimulatedBatch",
    "SimulatedChip",
    "Task",
    "WrittenFolder",
    "batches",
    "contact_sheet",
    "samples_batches",
    "samples_table",
    "simulate",
    "true_colour",
    "write_folder",
]
