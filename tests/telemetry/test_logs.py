"""Log lines of the served process."""

import json
import logging
import sys

import pytest

from aibrix_mw.errors import InvalidRequest
from aibrix_mw.multipart import FormModel
from aibrix_mw.settings import LogSettings
from aibrix_mw.telemetry.logs import CUT_SHORT, JsonFormatter, set_up_logging

pytestmark = pytest.mark.usefixtures("own_logging")


def record(message="pods: %d", *args, **changes):
    made = logging.LogRecord("aibrix_mw", logging.WARNING, __file__, 1, message, args or (3,), None)
    made.__dict__.update(changes)
    return made


def test_a_line_is_an_object():
    line = JsonFormatter().format(record(created=1_700_000_000.25, msecs=250.9))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "aibrix_mw",
        "message": "pods: 3",
    }
    assert "\n" not in JsonFormatter().format(record("a\nb %d"))


def test_a_traceback_stays_on_the_line():
    try:
        raise ValueError("bug")
    except ValueError:
        line = JsonFormatter().format(record(exc_info=sys.exc_info()))
    assert "ValueError: bug" in json.loads(line)["traceback"]
    assert "\n" not in line


@pytest.mark.parametrize(("style", "start"), [("json", "{"), ("text", "2")])
def test_format_and_level(style, start, capsys):
    set_up_logging(LogSettings(level="warning", format=style))
    logging.getLogger("aibrix_mw").info("quiet")
    logging.getLogger("aibrix_mw").warning("loud")
    logging.getLogger("other").info("quiet")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(start)
    assert "loud" in lines[0]


def test_a_truncated_answer_is_no_error(capsys):
    set_up_logging(LogSettings())
    logger = logging.getLogger("aibrix_mw")
    logger.error(CUT_SHORT)
    logger.error("something else")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["something else"]


def test_bad_forms_of_clients_fill_no_log(capsys):
    set_up_logging(LogSettings(level="debug"))
    with pytest.raises(InvalidRequest):
        FormModel(b"xyz").feed(b"junk")
    assert capsys.readouterr().err == ""
