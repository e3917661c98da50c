"""A job for tests, started like any other: computes features, slowly if asked, and leaves marks."""

import os
import time
from pathlib import Path

from registry.curate.features.work import Work
from spark_jobs import features
from spark_jobs.channel import serve
from spark_jobs.session import opened


def slowly(marks, seconds):
    """Return a task that tells who works, and takes its time over each batch."""

    def task(batches):
        for batch in batches:
            (Path(marks) / f"worker-{os.getpid()}").touch()
            time.sleep(seconds)
            yield batch

    return task


def work(job):
    asked = job.arguments
    marks = Path(asked["marks"])
    (marks / f"driver-{os.getpid()}").touch()
    with opened("test", settings=job.settings) as spark:
        if seconds := asked.get("slow"):
            joined = features._with_annotations
            features._with_annotations = lambda tables, rows: slowed(joined(tables, rows), seconds)

        def slowed(rows, seconds):
            few = rows.repartition(12)
            return few.mapInArrow(slowly(str(marks), seconds), few.schema)

        features.spark_runner(spark)(
            Work.from_json(asked["work"]), Path(asked["out"]), job.progress
        )
        return {"master": spark.sparkContext.master}


if __name__ == "__main__":
    serve(work)
