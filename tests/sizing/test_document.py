import pytest

from aibrix_mw.errors import ConfigurationError
from aibrix_mw.sizing.document import encode, read
from tests.sizing.results import document, measured


def test_what_is_written_is_read_again(tmp_path):
    written = document(prefill=measured(), decode=measured(None, end="interrupted"))
    file = tmp_path / "results.json"
    file.write_text(encode(written))
    assert read(file) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "no results of `size --json`: .*missing required field `url`"),
        ("nothing", "no results of `size --json`"),
        ('{"url": "", "model": "", "workload": "", "runs": {}, "format": "other"}', "format 'other', but"),
    ],
)
def test_other_files_are_refused(tmp_path, text, reason):
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        read(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        read(tmp_path / "results.json")
