import zipfile

import pytest

from registry.curate.formats import SourceOptions, detect, open_listing
from registry.errors import InvalidInputError, RejectedError


def labels(plan):
    return dict(zip(plan.samples["id"].to_pylist(), plan.samples["label"].to_pylist(), strict=True))


def test_a_folder_s_name_is_the_label_of_its_images(listed):
    source = listed({
        f"2750/{name}/{name}_{n}.jpg": b"" for name in ("Forest", "River") for n in range(3)
    })
    found = detect(source, SourceOptions())
    plan = found.format.plan(source, SourceOptions())
    assert found.format.name == "image-folder"
    assert plan.task == "classification"
    assert plan.classes == ("Forest", "River")
    assert labels(plan)["Forest_2"] == ["Forest"]
    assert set(plan.assets["file"].to_pylist()) == set(source.files)


def test_a_zip_is_planned_like_its_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "EuroSAT.zip", "w") as archive:
        for name in ("Forest", "River"):
            for n in range(2):
                archive.writestr(f"2750/{name}/{name}_{n}.jpg", b"x")
    source = open_listing(tmp_path / "EuroSAT.zip")
    plan = detect(source, SourceOptions()).format.plan(source, SourceOptions())
    assert sorted(labels(plan)) == ["Forest_0", "Forest_1", "River_0", "River_1"]


def test_names_that_recur_get_their_folders_into_the_id(listed):
    source = listed({f"{split}/{name}/1.png": b"" for split in ("train", "test")
                     for name in ("ship", "sea")})  # fmt: skip
    plan = detect(source, SourceOptions(format="image-folder")).format.plan(source, SourceOptions())
    assert labels(plan) == {
        "train__ship__1": ["ship"], "train__sea__1": ["sea"],
        "test__ship__1": ["ship"], "test__sea__1": ["sea"],
    }  # fmt: skip


def test_an_image_outside_of_all_classes_is_kept_without_a_label_and_reported(listed):
    source = listed({"a/1.jpg": b"", "a/2.jpg": b"", "b/3.jpg": b"", "b/4.jpg": b"", "x.jpg": b""})
    options = SourceOptions(format="image-folder")
    plan = detect(source, options).format.plan(source, options)
    assert labels(plan)["x"] is None
    assert plan.classes == ("a", "b")
    assert [(one.check, one.sample) for one in plan.findings] == [("missing-label", "x")]


def test_no_time_is_made_up(listed):
    source = listed({"a/1.jpg": b"", "a/2.jpg": b"", "b/3.jpg": b"", "b/4.jpg": b""})
    plan = detect(source, SourceOptions()).format.plan(source, SourceOptions())
    for column in ("datetime", "start_datetime", "end_datetime", "geometry"):
        assert plan.samples[column].null_count == 4


def test_a_name_pattern_gives_groups_and_times_and_says_so(listed):
    source = listed({f"{c}/site{n}_2020060{n}.jpg": b"" for c in "ab" for n in (1, 2)})
    options = SourceOptions(format="image-folder", name_pattern="{group}_%Y%m%d")
    plan = detect(source, options).format.plan(source, options)
    assert plan.samples["group"].to_pylist() == ["site1", "site2", "site1", "site2"]
    assert plan.samples["start_datetime"].null_count == 0
    assert [one.check for one in plan.findings] == ["time-from-name"]


def test_a_source_without_images_is_rejected(listed):
    source = listed({"notes.txt": "nothing"})
    options = SourceOptions(format="image-folder")
    with pytest.raises(RejectedError, match="no image"):
        detect(source, options).format.plan(source, options)


def test_a_table_beside_the_folders_gives_times_and_says_that_labels_are_several(listed):
    source = listed({
        "Forest+River/1.jpg": b"", "Forest+River/2.jpg": b"", "Sea/3.jpg": b"", "Sea/4.jpg": b"",
        "metadata.json": [
            {"id": "1", "label": ["Forest", "River"], "datetime": "2020-06-01T10:00:00Z"},
        ],
    })  # fmt: skip
    plan = detect(source, SourceOptions()).format.plan(source, SourceOptions())
    assert labels(plan)["1"] == ["Forest", "River"]
    assert plan.samples["datetime"][0].as_py().isoformat() == "2020-06-01T10:00:00+00:00"
    assert plan.findings == ()


def test_images_that_are_counted_anew_in_every_class_are_recognised(listed):
    source = listed({
        f"{split}/{name}/{n}.jpg": b"" for split in ("train", "val", "test")
        for name in ("forest", "water") for n in range(3)
    })  # fmt: skip
    found = detect(source, SourceOptions())
    assert found.format.name == "image-folder"
    plan = found.format.plan(source, SourceOptions())
    assert (plan.classes, plan.samples.num_rows) == (("forest", "water"), 18)


def test_files_of_like_names_in_every_folder_are_still_no_classes(listed):
    source = listed({f"p{n}/{name}.jpg": b"" for n in range(4) for name in ("before", "after")})
    with pytest.raises(InvalidInputError, match="of no format"):
        detect(source, SourceOptions())


def test_a_table_of_labels_beside_images_says_what_they_are(listed):
    source = listed({
        "0.jpg": b"", "1.jpg": b"", "2.jpg": b"",
        "labels.csv": "filename,label\n0.jpg,forest\n1.jpg,water\n",
    })  # fmt: skip
    found = detect(source, SourceOptions())
    plan = found.format.plan(source, SourceOptions())
    assert found.format.name == "image-folder"
    assert labels(plan) == {"0": ["forest"], "1": ["water"], "2": None}
    assert [(one.check, one.sample) for one in plan.findings] == [("missing-label", "2")]


def test_labels_in_a_form_that_is_not_read_are_warned_of(listed):
    source = listed({"a/1.jpg": b"", "a/1.xml": "<annotation/>", "b/2.jpg": b"", "b/2.txt": "0 0"})
    options = SourceOptions(format="image-folder")
    (found,) = detect(source, options).format.plan(source, options).findings
    assert (found.check, found.severity) == ("unread-labels", "warning")
    assert "2, such as 'a/1.xml'" in found.message


def test_folders_of_splits_are_no_classes(listed):
    source = listed({f"images/{split}/{n}.jpg": b"" for split in ("train", "val") for n in "123"})
    with pytest.raises(InvalidInputError, match="of no format"):
        detect(source, SourceOptions())
    options = SourceOptions(format="image-folder")
    plan = detect(source, options).format.plan(source, options)
    assert set(labels(plan).values()) == {None}
