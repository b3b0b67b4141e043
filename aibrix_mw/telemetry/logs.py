"""Log output of the served process: one line a record, JSON or text, on standard error."""

import logging
import sys
import time

import msgspec

from aibrix_mw.settings import LogSettings


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


CUT_SHORT = "the application has ended in the middle of its answer"


class _Truncations(logging.Filter):
    """Our server reports every answer that ends short as the application's error; a gateway means it and counts it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != CUT_SHORT


def set_up_logging(settings: LogSettings) -> None:
    """Log to standard error in the format and from the level that the settings say."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if settings.format == "json" else text)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("aibrix_mw").setLevel(settings.level.upper())
    logging.getLogger("aibrix_mw").addFilter(_Truncations())
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(message)s"))  # which is JSON, whatever the format of the others
    access = logging.getLogger("aibrix_mw.access")
    access.handlers = [lines]
    access.propagate = False
    access.setLevel(logging.INFO)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings are what clients get 400 for
