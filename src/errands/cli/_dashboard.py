"""`errands dashboard`: serves the dashboard alone, to this machine."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import click

from errands import Errands
from errands.errors import StoreUnavailable

from ._target import find_errands

HOST = "127.0.0.1"
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NEEDED = "this needs the dashboard's extra: pip install 'errands[dashboard]'"


@click.command("dashboard", context_settings={"max_content_width": 100})
@click.argument("target", metavar="MODULE:NAME")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8130, show_default=True, metavar="PORT",
    help="The port on 127.0.0.1; 0 for any free one.",
)  # fmt: skip  # one option, one block
@click.option(
    "--read-only", "is_read_only", is_flag=True, help="Without buttons: nobody changes anything."
)
@click.option(
    "--redact", multiple=True, metavar="NAME",
    help="Hide arguments whose names contain this, beside password, token and others.",
)  # fmt: skip
@click.option(
    "--factory", "is_factory", is_flag=True,
    help="NAME is a function that makes the Errands object, or the application.",
)  # fmt: skip
@click.option(
    "--app-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(),
    show_default="this folder", metavar="FOLDER", help="Where MODULE is looked for first.",
)  # fmt: skip
def dashboard_command(
    target: str, port: int, is_read_only: bool, redact: tuple[str, ...], is_factory: bool,
    app_dir: Path,
) -> None:  # fmt: skip  # as long as the command has options
    """Show the dashboard in a browser on this machine, and to nobody else.

    MODULE:NAME is where the Errands object is, as in app.main:errands. It runs no jobs: those
    go on in the application and in workers.

    \b
    Example:
      errands dashboard app.main:errands
    """  # noqa: D301  # click wants the character itself, not its escape
    logging.basicConfig(level="INFO", format=FORMAT)
    errands = find_errands(target, app_dir.resolve(), is_factory=is_factory)
    with _listening(port) as listener:
        try:
            asyncio.run(_serve(errands, listener, redact, is_read_only=is_read_only))
        except StoreUnavailable as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            return  # that is how it ends


async def _serve(
    errands: Errands, listener: socket.socket, redact: tuple[str, ...], *, is_read_only: bool
) -> None:
    """Serve it until told to stop."""
    try:
        import uvicorn  # noqa: PLC0415  # only this command needs it

        from errands.dashboard import dashboard  # noqa: PLC0415  # as above
    except ImportError as error:
        raise click.ClickException(f"{NEEDED} ({error})") from None
    app = dashboard(errands, read_only=is_read_only, redact=redact)
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan="off", log_level="warning", proxy_headers=False)
    )
    async with errands:
        click.echo(f"The dashboard is running on http://{HOST}:{listener.getsockname()[1]}")
        await server.serve(sockets=[listener])


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # from now on visitors wait, and are not refused
    except OSError as error:
        listener.close()
        raise click.ClickException(
            f"{HOST}:{port} cannot be had ({error.strerror}): choose another --port"
        ) from None
    return listener
