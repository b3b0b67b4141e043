import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import yaml

from aibrix_mw.settings import Settings, StoreSettings, parse_settings
from aibrix_mw.settings.sifting import is_section, known_paths

DOCUMENTED = Path(__file__).parents[1] / "data" / "settings" / "documented.yaml"


def test_the_documented_file_states_every_key_and_every_default():
    data = yaml.safe_load(DOCUMENTED.read_text())
    assert parse_settings(DOCUMENTED.read_bytes()).unwrap() == Settings()

    def paths(mapping, prefix=""):
        for key, value in mapping.items():
            yield prefix + key
            if isinstance(value, dict):
                yield from paths(value, f"{prefix}{key}.")

    assert set(paths(data)) == set(known_paths())
    assert msgspec.json.decode(msgspec.json.encode(Settings())) == data


def test_every_field_says_what_it_means():
    for path, kind in known_paths().items():
        if is_section(kind):
            assert kind.__doc__, path
        else:
            described = [meta.description for meta in get_args(kind)[1:] if meta.description]
            assert described, path
            assert re.search(r"[.:]", described[-1]), path


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@store:6379/0", "redis://***@store:6379/0"),
        ("redis://me:se@cret@store:6379/0", "redis://***@store:6379/0"),
        ("redis://store/0?password=secret", "redis://***@store/0"),
    ],
)
def test_a_password_never_shows(url, shown):
    settings = Settings(store=StoreSettings(url=url))
    assert settings.store.url == url
    for text in (repr(settings), str(settings), f"{settings.store}", repr(settings.store.__rich_repr__())):
        assert "cret" not in text
        assert shown in text


def test_a_store_without_url_shows_itself():
    assert repr(Settings().store) == (
        "StoreSettings(url=None, username=None, password_file=None, ca_file=None, timeout=0.05, namespace='aibrix_mw')"
    )
