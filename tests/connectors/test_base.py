"""What all connectors promise."""

from random import Random

import pytest

from aibrix_mw.connectors import TABLE
from aibrix_mw.connectors.base import ONE_TOKEN, Connector, connector
from aibrix_mw.splice import JsonObject
from tests.support import info


@pytest.mark.parametrize("name", TABLE)
def test_every_name_is_a_connector(name):
    found = connector(name)
    assert isinstance(found, Connector)
    assert type(found).__doc__
    assert found is connector(name)
    edits = found.to_prefill(info(), Random(1))
    assert edits.keys() == ONE_TOKEN.keys() | found.keys
    assert edits["max_tokens"] == b"1"
    assert edits["stream"] == b"false"
    assert found.controlled == edits.keys()
    assert JsonObject(b'{"model":"m","min_tokens":2}').edited(edits).count(b"min_tokens") == 0


def test_only_sglang_sends_both_legs_at_once():
    assert [name for name in TABLE if connector(name).together] == ["sglang"]


def test_a_name_that_is_not_in_the_table():
    assert type(connector("lmcache")) is type(connector("nixl"))
