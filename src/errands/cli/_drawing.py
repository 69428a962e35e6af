"""The drawing: a view of `errands top` in the columns and lines of a terminal, by rich."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from errands.errors import reason_of

from ._records import json_line
from ._tables import STYLES
from ._texts import one_line, short
from ._view import QueueView, View

BARS = " ▁▂▃▄▅▆▇█"
ROOM = 24  # columns that stand after them
FEWEST = 2  # rows that each part gets, where there is anything
HEADS = 8  # lines that are no rows: titles, heads, empty lines, the footer


class Drawing:
    """One view, as high as the terminal is.

    Args:
        view: What was seen.
        pause: Seconds until the next look.
        trouble: Why it is not newer.
    """

    def __init__(self, view: View, pause: float, trouble: str = "") -> None:
        """Draw nothing yet."""
        self._view, self._pause, self._trouble = view, pause, trouble

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; what does not fit is counted."""
        view, height = self._view, options.height or console.height
        hour = self._hour(options.max_width)
        lines = height - HEADS - bool(hour)
        rooms = _rooms(lines, len(view.queues), len(view.workers), len(view.failures))
        yield Group(
            self._head(),
            *([hour] if hour else ()),
            Text(),
            self._queues(rooms[0]),
            Text(),
            self._workers(rooms[1]),
            Text(),
            self._failures(rooms[2]),
            self._foot(options.max_width),
        )

    def _head(self) -> Text:
        view = self._view
        rate = "" if view.rate is None else f"{view.rate:,.1f} jobs/s"
        queued = sum(queue.queued for queue in view.queues)
        running = sum(queue.running for queue in view.queues)
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append("errands ", "bold")
        head.append(f"{queued:,} queued  {running:,} running  {rate}", "cyan")
        return head

    def _hour(self, width: int) -> Text | None:
        """The last hour as a row of bars, a minute each; those in which jobs failed are red."""
        hour = self._view.hour
        most = max((each.ended for each in hour), default=0)
        if not most:
            return None
        bars = Text("last hour ", "dim", no_wrap=True, overflow="ellipsis")
        room = max(width - len(bars) - ROOM, 10)
        for each in hour[-room:]:
            step = -(-each.ended * (len(BARS) - 1) // most)  # what is there has a bar
            bars.append(BARS[step], STYLES["failed"] if each.failed else "cyan")
        bars.append(f" {most:,}/min at most", "dim")
        return bars

    def _queues(self, room: int) -> Table:
        table = _table("QUEUE", "queued", "running", "failed", "jobs/s", "oldest", "")
        view = self._view
        for queue in sorted(view.queues, key=_busiest)[:room]:
            table.add_row(
                Text(one_line(queue.name), overflow="ellipsis", no_wrap=True),
                f"{queue.queued:,}",
                f"{queue.running:,}",
                Text(f"{queue.failed:,}", STYLES["failed"] if queue.failed else ""),
                "" if queue.rate is None else f"{queue.rate:,.1f}",
                "" if queue.age is None else short(queue.age),
                Text("paused", STYLES["paused"]) if queue.is_paused else "",
            )
        return _more(table, len(view.queues) - room)

    def _workers(self, room: int) -> Table:
        table = _table("WORKER", "state", "busy", "queues", "up", "seen", grows=(0, 3))
        view = self._view
        for worker in view.workers[:room]:
            table.add_row(
                Text(one_line(worker["worker"]), overflow="ellipsis", no_wrap=True),
                Text(worker["state"], STYLES.get(worker["state"], "")),
                f"{worker['running']}/{worker['slots']}",
                Text(
                    one_line(",".join(worker["queues"] or ["all"])),
                    overflow="ellipsis", no_wrap=True,
                ),
                short(view.now - worker["started_at"]),
                short(view.now - worker["seen_at"]),
            )  # fmt: skip  # a row
        if not view.workers:
            table.add_row(Text("none is at work", STYLES["failed"]))
        return _more(table, len(view.workers) - room)

    def _failures(self, room: int) -> Table:
        table = _table("LAST FAILURES", "ago", "why", grows=(2,))
        view = self._view
        for job in view.failures[:room]:
            reason = reason_of(job["error"])
            table.add_row(
                Text(one_line(job["task"].rpartition(".")[2]), overflow="ellipsis", no_wrap=True),
                short(view.now - (job["finished_at"] or job["added_at"])),
                Text(
                    one_line(reason or json_line(job["arguments"])),
                    overflow="ellipsis", no_wrap=True,
                ),
            )  # fmt: skip  # a row
        if not view.failures:
            table.add_row(Text("none", "dim"))
        return table

    def _foot(self, width: int) -> Text:
        if self._trouble:
            return _cut(Text(one_line(self._trouble), STYLES["failed"]), width)
        text = f"{self._view.now:%H:%M:%S} UTC  every {self._pause:.0f} s  q ends  "
        return _cut(Text(f"{text}{one_line(self._view.address)}", "dim"), width)


def _rooms(lines: int, *wanted: int) -> list[int]:
    """How many rows each part gets: all alike, and what one does not need the next ones."""
    rooms, left = [], max(lines, FEWEST * len(wanted))
    for index, rows in enumerate(wanted):
        share = max(left // (len(wanted) - index), FEWEST)
        rooms.append(min(max(rows, 1), share))
        left -= rooms[-1]
    return rooms


def _table(*titles: str, grows: tuple[int, ...] = (0,)) -> Table:
    """A table whose first column says what it is about, and which is as wide as the terminal."""
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), show_header=True)
    for index, title in enumerate(titles):
        is_left = index == 0 or index in grows or title in ("state", "")
        table.add_column(
            title, ratio=1 + 2 * (index == 2) if index in grows else None, no_wrap=True,
            justify="left" if is_left else "right", overflow="ellipsis",
            header_style="bold" if index == 0 else "dim",
        )  # fmt: skip  # a row
    return table


def _more(table: Table, rest: int) -> Table:
    """Say in its head that there are more."""
    if rest > 0:
        table.columns[0].header = f"{table.columns[0].header} and {rest:,} more"
    return table


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text


def _busiest(queue: QueueView) -> tuple[int, str]:
    return -(queue.queued + queue.running), queue.name
