"""Folders of small files, listed; readers of formats never open the rasters among them."""

import json

import pytest

from registry.curate.formats.listing import open_listing


@pytest.fixture
def listed(tmp_path):
    """Write files by path (bytes, text, or what becomes JSON) and list their folder."""

    def write(files, name="source"):
        for path, content in files.items():
            target = tmp_path / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                text = content if isinstance(content, str) else json.dumps(content)
                target.write_text(text)
        return open_listing(tmp_path / name)

    return write
