"""The layout: what stands around each page."""

from __future__ import annotations

from json import dumps

from .._markup import Markup, h
from .._visit import Page, Visit

SECTIONS = ("Now", "Jobs", "Groups", "Errors", "Queues", "Schedules", "Services", "Workers")
# no eval and no style elements, which our own policy forbids; and nothing left in the browser
HTMX = {
    "allowEval": False, "includeIndicatorStyles": False, "historyCacheSize": 0,
    "selfRequestsOnly": True, "refreshOnHistoryMiss": True,
}  # fmt: skip  # a table
KEYS = (
    ("/", "search"), ("j k", "next row, row before"), ("Enter", "open"), ("x", "select"),
    ("r", "retry"), ("g", "then n j g e q s v w: go to a page"), ("?", "these keys"),
)  # fmt: skip  # a table
TOLD = {
    "again": "This is the job with the edited arguments.",
    "begun": "This job changes all that match; its result will be how many those were.",
    "cancel": "Cancelled, or told to stop: {n}.",
    "delete": "Deleted: {n}.",
    "pause": "Paused.",
    "restart": "Started again.",
    "resume": "Resumed.",
    "retry": "Queued again: {n}.",
    "run": "A job was added.",
    "slots": "The worker will have so many slots in a moment.",
}


def layout(visit: Visit, page: Page) -> str:
    """A whole document."""
    head = h.head(
        h.meta(charset="utf-8"),
        h.title(f"{page.title} · Errands"),
        h.meta(name="viewport", content="width=device-width, initial-scale=1"),
        h.meta(name="color-scheme", content="light dark"),
        h.meta(name="htmx-config", content=dumps(HTMX)),
        h.link(rel="icon", type="image/svg+xml", href=visit.asset("icon.svg")),
        h.link(rel="stylesheet", href=visit.asset("dashboard.css")),
        h.script(src=visit.asset("htmx.min.js"), defer=True),
        h.script(src=visit.asset("dashboard.js"), defer=True),
    )
    body = h.body(
        h.a("Skip to the page", href="#main", cls="skip"),
        h.header(_brand(visit), _sections(visit), _foot(visit, page), cls="side"),
        h.main(_told(visit), h.h1(page.title), page.body, id="main", **_live(visit, page)),
        _keys(),
    )
    return f"<!doctype html>{h.html(head, body, lang='en')}"


def _live(visit: Visit, page: Page) -> dict[str, str]:
    """How the page keeps itself up to date; without JavaScript it stays as it is."""
    if page.live is None:
        return {}
    return {
        "hx_get": visit.link(visit.path, **visit.query), "hx_trigger": f"every {page.live:g}s",
        "hx_select": "#main", "hx_swap": "outerHTML",
    }  # fmt: skip  # attributes


def _brand(visit: Visit) -> Markup:
    mark = h.svg(
        h.circle(cx=8, cy=8, r=5.5), h.circle(cx=8, cy=8, r=2, cls="core"),
        viewBox="0 0 16 16", aria_hidden="true",
    )  # fmt: skip  # a drawing
    return h.a(mark, "Errands", href=visit.link(""), cls="brand")


def _sections(visit: Visit) -> Markup:
    first = visit.path.strip("/").split("/")[0]
    return h.nav(
        (
            h.a(
                name,
                href=visit.link("" if name == "Now" else name.lower()),
                aria_current="page" if first == ("" if name == "Now" else name.lower()) else None,
            )
            for name in SECTIONS
        ),
        aria_label="Pages",
    )


def _foot(visit: Visit, page: Page) -> Markup:
    live = h.button("Live", type="button", id="live", hidden=True, aria_pressed="true")
    return h.div(
        live if page.live is not None else None,
        h.span(visit.errands.address, cls="store", title="the store"),
        h.span("read only", cls="store") if not visit.may_act else None,
        cls="foot",
    )


def _told(visit: Visit) -> Markup | None:
    """What an action has to say that led here: one of our own sentences, whatever is asked."""
    sentence = TOLD.get(visit.query.get("told", ""))
    if sentence is None:
        return None
    n, left = (visit.query.get(name, "") for name in ("n", "left"))
    said = sentence.format(n=n if n.isdecimal() else "?")
    if left.isdecimal() and left.strip("0"):
        said += f" It could not be done with {left}: they have changed meanwhile."
    return h.p(said[:300], cls="told", role="status")


def _keys() -> Markup:
    keys = ((h.dt(*(h.kbd(key) for key in keys.split())), h.dd(does)) for keys, does in KEYS)
    close = h.form(h.button("Close"), method="dialog")
    return h.dialog(h.h2("Keys"), h.dl(keys, cls="facts"), close, id="keys")
