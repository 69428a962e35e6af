"""The reach of a command: which application or store it is about, opened only if it is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from errands import Errands, ErrandsError

from ._target import find_errands

T = TypeVar("T")

DEFAULT = "sqlite:///errands.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What was said with `--app` and `--store`."""

    app: str | None
    store: str | None
    app_dir: Path
    is_factory: bool

    def errands(self) -> Errands:
        """The application's object; or one that declares nothing, for a store alone.

        Raises:
            click.ClickException: if there is none, or nobody else could see its jobs.
        """
        if self.app and self.store:
            raise click.UsageError("--app has a store of its own: leave out --store, or --app")
        if self.is_factory and not self.app:
            raise click.UsageError("--factory says what --app MODULE:NAME is: give that, too")
        try:
            found = (
                find_errands(self.app, self.app_dir.resolve(), is_factory=self.is_factory)
                if self.app
                else Errands(self.store or os.environ.get("ERRANDS_URL") or DEFAULT)
            )
        except (ErrandsError, ValueError) as error:
            raise click.ClickException(str(error)) from None
        if found.address.startswith(("memory:", "MemoryStore")):
            raise click.ClickException(
                "jobs in memory are seen by their own process only: name a store that others "
                "see, such as --store sqlite:///errands.db"
            )
        return found

    def run(self, work: Callable[[Errands], Awaitable[T]]) -> T:
        """What `work` answers, with the store open.

        Raises:
            click.ClickException: saying what is wrong, if the store is not there, would have to
                be upgraded, or does not answer.
        """
        errands = self.errands()

        async def opened() -> T:
            async with opening(errands):
                return await work(errands)

        try:
            return asyncio.run(opened())
        except (ErrandsError, OSError) as error:
            raise click.ClickException(str(error)) from None


@asynccontextmanager
async def opening(errands: Errands) -> AsyncIterator[None]:
    """Have the store open in the block, if that changes nothing there.

    Raises:
        click.ClickException: if its tables are of an older version.
        StoreUnavailable: if there is nothing, or it does not answer.
    """
    found = await errands.examine()
    if found is not None and found.is_old:
        raise click.ClickException(
            f"{errands.address} has schema {found.schema}, and to open it would upgrade it to "
            f"{found.known}: start the application or a worker of this version, which does that"
        )
    async with errands:
        yield


def reaching(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of its reach, and `reach` for them."""

    @click.option(
        "-s", "--store", metavar="URL",
        help=f"The store.  [default: $ERRANDS_URL, or {DEFAULT}]",
    )  # fmt: skip  # one option, one block
    @click.option(
        "-a", "--app", metavar="MODULE:NAME",
        help="The Errands object, or the application, as errands worker has it; and its store.",
    )  # fmt: skip
    @click.option(
        "--app-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(), show_default="this folder", metavar="FOLDER",
        help="Where MODULE is looked for first.",
    )  # fmt: skip
    @click.option("--factory", "is_factory", is_flag=True, help="NAME is a function that makes it.")
    @wraps(command)
    def reached(
        *args: Any, app: str | None, store: str | None, app_dir: Path, is_factory: bool, **more: Any
    ) -> Any:
        reach = Reach(app=app, store=store, app_dir=app_dir, is_factory=is_factory)
        return command(*args, reach=reach, **more)

    return reached


def with_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`, as `is_json`."""
    return click.option("--json", "is_json", is_flag=True, help="Write JSON, for programs.")(
        command
    )


def with_reveal(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--reveal`, as `is_revealing`."""
    return click.option(
        "--reveal", "is_revealing", is_flag=True,
        help="Show values that are hidden because of their names: password, token, …",
    )(command)  # fmt: skip  # one option, one block
