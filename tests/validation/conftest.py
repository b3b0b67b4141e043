"""A text or an object, validated as a file."""

import json

import pytest

from aibrix_mw.validation import validate_file


@pytest.fixture
def check(tmp_path):
    """Validate a text (or the JSON of an object) as a file."""

    def check(content):
        file = tmp_path / "file"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        return validate_file(file)

    return check
