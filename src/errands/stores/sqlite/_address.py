"""The address of a store in SQLite: what its URL says of the file, and of how it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from ._drivers import DRIVERS

DRIVER = "apsw"  # by default: it brings an SQLite that is new
SYNCHRONOUS = ("full", "normal", "extra")


@dataclass(frozen=True, slots=True)
class Address:
    """A file, and what to open it with.

    Attributes:
        path: The file, which need not be there yet; absolute.
        synchronous: Which of `SYNCHRONOUS`: how sure a commit is to outlast a power cut.
        driver: Which of `DRIVERS`.
    """

    path: Path
    synchronous: str
    driver: str


def address_of(url: str) -> Address:
    """Read a URL.

    Raises:
        ValueError: if it names no file, or an option that there is not.
    """
    rest, _, query = url.removeprefix("sqlite:").partition("?")
    path = unquote(rest.removeprefix("///"))
    if not rest.startswith("///") or not path or path.startswith(":"):
        raise ValueError(
            f"{url!r}: write sqlite:///errands.db for a file in this folder, "
            "sqlite:////srv/errands.db for any other, memory: for none"
        )
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "full").lower()
    driver = options.pop("driver", DRIVER)
    if options:
        raise ValueError(
            f"{url!r}: unknown option {min(options)!r}, expected synchronous or driver"
        )
    if synchronous not in SYNCHRONOUS:
        raise ValueError(f"{url!r}: synchronous is one of {', '.join(SYNCHRONOUS)}")
    if driver not in DRIVERS:
        raise ValueError(f"{url!r}: driver is one of {', '.join(DRIVERS)}")
    return Address(Path(path).absolute(), synchronous, driver)
