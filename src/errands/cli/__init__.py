"""The command line: `errands worker` runs jobs, the other commands look at them or steer them."""

from __future__ import annotations

import logging
import sys
from io import TextIOWrapper
from pathlib import Path

import click

from ._adding import add_command
from ._changes import HAS_WATCHFILES
from ._dashboard import dashboard_command
from ._doctor import doctor_command
from ._fleet import HAS_LINES, run_fleet
from ._health import Place
from ._line import Line
from ._looking import jobs_command, workers_command
from ._move import move_command
from ._order import LOOPS, Order
from ._pausing import pause_command, resume_command
from ._process import run_here
from ._schedules import schedules_command
from ._services import forget_command, restart_command, services_command
from ._showing import show_command
from ._slots import set_slots_command
from ._steering import cancel_command, delete_command, prune_command, retry_command
from ._top import top_command

__all__ = ["main", "worker"]

LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="errands", message="%(package)s %(version)s")
def main() -> None:
    """Background tasks for FastHTML, FastAPI and Starlette."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # whose encoding may not have all characters
            stream.reconfigure(errors="backslashreplace")


for _command in (
    add_command, cancel_command, dashboard_command, delete_command, doctor_command,
    forget_command, jobs_command, move_command, pause_command, prune_command, restart_command,
    resume_command, retry_command, schedules_command, services_command, set_slots_command,
    show_command, top_command, workers_command,
):  # fmt: skip  # a list
    main.add_command(_command)


def _names(context: click.Context, option: click.Parameter, value: str | None) -> list[str] | None:
    """The queues of a list such as `mail,default`."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise click.BadParameter(
            f"{value!r} names no queue somewhere. Write mail,default; leave it out for the "
            "queues of the Errands object."
        )
    return names


@main.command(context_settings={"max_content_width": 100})
@click.argument("target", metavar="MODULE:NAME")
@click.option(
    "--queues", callback=_names, metavar="A,B", help="Work for these queues only.  [default: those"
    " of the Errands object, or all]",
)  # fmt: skip  # one option, one block
@click.option(
    "--slots", type=click.IntRange(min=1), metavar="N",
    help="Jobs that run side by side in each process.  [default: those of the object, or 50]",
)  # fmt: skip
@click.option(
    "--grace", type=click.FloatRange(min=0), metavar="SECONDS",
    help="How long running jobs get to end when it is told to stop; what is not done by then goes"
    " back to the store.  [default: that of the object, or 10]",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Run so many processes, and start another for each that dies.",
)  # fmt: skip
@click.option(
    "--reload", "is_reloading", is_flag=True,
    help="For development: start anew when a Python file in the application's folder changes."
    " Running jobs go back to the store, unless --grace is given.",
)  # fmt: skip
@click.option(
    "--factory", "is_factory", is_flag=True,
    help="NAME is a function that makes the Errands object, or the application.",
)  # fmt: skip
@click.option(
    "--app-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(),
    show_default="this folder", metavar="FOLDER", help="Where MODULE is looked for first.",
)  # fmt: skip
@click.option(
    "--health-port", type=click.IntRange(0, 65535), metavar="PORT",
    help="Answer GET /alive and GET /ready there; 0 for any free port.",
)  # fmt: skip
@click.option(
    "--health-host", default="127.0.0.1", show_default=True, metavar="HOST",
    help="The address to answer on.",
)  # fmt: skip
@click.option(
    "--loop", type=click.Choice(LOOPS), default="auto", show_default=True,
    help="The event loop; auto takes uvloop where it is installed.",
)  # fmt: skip
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", show_default=True,
    help="What is logged, to standard error.",
)  # fmt: skip
@click.option("--line", type=int, hidden=True)  # a child's: the socket to its parent
def worker(
    target: str, queues: list[str] | None, slots: int | None, grace: float | None, processes: int,
    is_reloading: bool, is_factory: bool, app_dir: Path, health_port: int | None,
    health_host: str, loop: str, log_level: str, line: int | None,
) -> None:  # fmt: skip  # as long as the command has options
    """Run jobs, in this process or in several.

    MODULE:NAME is where the Errands object is, as in app.main:errands. It may also be the
    application that setup_errands was called for, as in app.main:app.

    SIGTERM or Ctrl-C stops it: it claims no more, lets running jobs end within the grace, and
    hands back the rest, which costs them no attempt. A second one ends it at once.

    \b
    Examples:
      errands worker app.main:errands
      errands worker app.main:errands --queues mail,default --slots 50 --processes 4
      errands worker app.main:app --reload
    """  # noqa: D301  # click wants the character itself, not its escape
    logging.basicConfig(level=log_level.upper(), format=FORMAT)
    order = Order(
        target=target, app_dir=app_dir.resolve(), is_factory=is_factory, queues=queues,
        slots=slots, grace=grace, loop=loop, log_level=log_level,
    )  # fmt: skip  # a row
    health = None if health_port is None else Place(health_host, health_port)
    if processes == 1 and not is_reloading:
        sys.exit(run_here(order, health, None if line is None else Line(line)))
    if not HAS_LINES:
        raise click.UsageError("--processes and --reload need Unix; here, start several workers")
    if is_reloading and not HAS_WATCHFILES:
        logging.getLogger("errands.worker").info(
            "looking for changes every half second; with `pip install watchfiles` they are told"
        )
    sys.exit(run_fleet(order, processes, health, is_reloading=is_reloading))
