"""Logs: loguru to stderr, since stdout belongs to ExaBGP or to the user's pipe."""

import enum
import sys

from loguru import logger

TEXT = "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level: <7} {message}{extra[text]}"


class LogFormat(enum.StrEnum):
    """How a line of log looks."""

    TEXT = "text"
    JSON = "json"


def configure(level: str, log_format: LogFormat) -> None:
    """Send all logs of this process to stderr.

    Args:
        level: debug, info, warning or error.
        log_format: text for people; json for collectors, one object a line.
    """
    logger.remove()
    if log_format is LogFormat.JSON:
        logger.add(sys.stderr, level=level.upper(), serialize=True)
        return
    logger.configure(patcher=_with_text)
    logger.add(sys.stderr, level=level.upper(), format=TEXT, colorize=False, backtrace=False)


def _with_text(record: object) -> None:
    extra = record["extra"]  # type: ignore[index]
    extra["text"] = "".join(f" {key}={value}" for key, value in extra.items() if key != "text")
