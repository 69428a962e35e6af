"""Log records of the processes of tasks: told there, and logged here under the same name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

PLAIN = (str, int, float, bool, type(None))


class Teller(logging.Handler):
    """Tells each record, as a mapping of its attributes.

    Args:
        tell: Called with it.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], object]) -> None:
        """Tell nothing yet."""
        super().__init__()
        self._tell = tell
        self._texts = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one; as with any handler, what cannot be told is said on standard error."""
        try:
            told = {key: v for key, v in vars(record).items() if isinstance(v, PLAIN)}
            told |= {"msg": record.getMessage(), "args": None}
            if record.exc_info and not record.exc_text:
                told["exc_text"] = self._texts.formatException(record.exc_info)
            self._tell(told)
        except OSError:  # nobody is there any more, and this process ends
            return
        except Exception:  # noqa: BLE001  # as in `logging`
            self.handleError(record)


def log_again(told: Mapping[str, Any]) -> None:
    """Log what was told, if the logger of that name wants its level."""
    record = logging.makeLogRecord(dict(told))
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def levels() -> dict[str, int]:
    """The levels of all loggers here that have one, by name; `""` is the root."""
    found = {"": logging.root.level}
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            found[name] = logger.level
    return found


def set_levels(levels: Mapping[str, int]) -> None:
    """Have the loggers of this process want what those of another do."""
    for name, level in levels.items():
        logging.getLogger(name or None).setLevel(level)


def tell_all(handler: logging.Handler) -> None:
    """Have every record of this process told, and no other handler hear of it.

    The modules of an application may have set up others, for its own output.
    """
    loggers = [v for v in logging.root.manager.loggerDict.values() if isinstance(v, logging.Logger)]
    for logger in loggers:
        for each in list(logger.handlers):
            logger.removeHandler(each)
        logger.propagate = True
    if logging.root.handlers != [handler]:
        for each in list(logging.root.handlers):
            logging.root.removeHandler(each)
        logging.root.addHandler(handler)
