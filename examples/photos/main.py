"""Darkroom: drop pictures on a page; thumbnails and a palette are made in the background.

Start it by `python examples/photos/main.py`, open http://127.0.0.1:5001 and drop some pictures.
Stop it in the middle, by `kill -9` if you like: after the next start the work goes on.
Drop a file that is no picture, and follow *Why it failed* to its job on the dashboard.

    PHOTOS_DIR      the folder for pictures, store and access log; `uploads` beside this file
    PHOTOS_PAUSE    seconds to rest at each step, so that people can watch; 0.4
    ERRANDS_URL     the store; `errands.db` in PHOTOS_DIR
    PORT            5001
"""

# FastHTML's components have no types:
# mypy: no-warn-return-any

import os
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import BinaryIO
from uuid import uuid4

import uvicorn
from fasthtml.common import *
from pictures import MAX_BYTES, BrokenPicture, find_palette, is_light, read_picture, save_thumbnail
from samples import SAMPLES, draw_samples
from starlette.datastructures import UploadFile
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from errands import Errands, Job, Retry, State, progress, track
from errands.dashboard import dashboard
from errands.fasthtml import BackgroundTasks, setup_errands

HERE = Path(__file__).resolve().parent
UPLOADS = Path(os.environ.get("PHOTOS_DIR") or HERE / "uploads").resolve()
ORIGINALS, THUMBNAILS, DRAWN = UPLOADS / "originals", UPLOADS / "thumbnails", UPLOADS / "samples"
PAUSE = float(os.environ.get("PHOTOS_PAUSE", "0.4"))
ACCEPTED = "image/jpeg,image/png,image/webp"
SIZES = (128, 320, 640)  # of the longer side of a thumbnail, in pixels

store = os.environ.get("ERRANDS_URL") or f"sqlite:///{UPLOADS / 'errands.db'}"
errands = Errands(store, slots=3)  # three pictures at a time: a large one takes much memory


@errands.task(name="photos.develop", retry=Retry(attempts=5, wait=1, on=(OSError,)), timeout=60)
def develop(photo: str, name: str = "") -> list[str]:
    """Make the thumbnails of a photo and return its palette.

    Its `name` is for whoever looks for it on the dashboard.
    It may be cut off at any line and run again: it starts from the original, and each thumbnail
    takes its place in one step.
    """
    progress(0, 1, "Finding the colours")
    picture = read_picture(ORIGINALS / photo)
    palette = find_palette(picture)
    for size in track(SIZES, "Making thumbnails"):
        sleep(PAUSE)
        save_thumbnail(picture, THUMBNAILS / f"{photo}-{size}.jpg", size)
    sleep(PAUSE)
    return palette


def log_line(text: str) -> None:
    """Add a line to the access log. Not declared as a task: it runs here, after the response."""
    with (UPLOADS / "access.log").open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")


def prepare() -> None:
    """Make the folders, and draw the samples at the first start."""
    for folder in (ORIGINALS, THUMBNAILS, DRAWN):
        folder.mkdir(parents=True, exist_ok=True)
    draw_samples(DRAWN)


def refuse_floods(app: ASGIApp) -> ASGIApp:
    """Refuse a request that is larger than ten pictures, before any of it is read."""
    refusal = PlainTextResponse(
        f"Too much at once: send {10 * MAX_BYTES // 1024**2} MB at most, please.", 413
    )

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        size = int(dict(scope.get("headers", ())).get(b"content-length", 0))
        await (refusal if size > 10 * MAX_BYTES else app)(scope, receive, send)

    return check


app = FastHTML(
    title="Darkroom",
    default_hdrs=False,  # they would come from other servers
    hdrs=(
        Meta(charset="utf-8"),
        Meta(name="viewport", content="width=device-width, initial-scale=1"),
        Link(rel="icon", href="/static/picture.svg"),
        Link(rel="stylesheet", href="/static/photos.css"),
        Script(src="/static/htmx.min.js", defer=True),
    ),
    htmlkw={"lang": "en"},
    canonical=False,
    sess_cls=None,  # nobody logs in here,
    secret_key="none",  # and so no key need be written to a file
    middleware=[Middleware(refuse_floods)],
    on_startup=[prepare],
)
rt = app.route
setup_errands(app, errands)
app.mount("/errands", dashboard(errands))  # for this machine alone, as nobody logs in here
app.mount("/static", StaticFiles(directory=HERE / "static"))
app.mount("/samples", StaticFiles(directory=DRAWN, check_dir=False))
app.mount("/thumbnails", StaticFiles(directory=THUMBNAILS, check_dir=False))


@rt("/")
async def index() -> FT:
    """The whole page. The cards come from the store, so they outlive the server."""
    jobs = await errands.jobs(task="photos.develop", limit=60)
    reload = Noscript(Meta(http_equiv="refresh", content="2"))
    return Main(
        Header(
            H1("Darkroom"),
            P("Drop a picture: it is developed in the background, into thumbnails and a palette."),
            P("Stop the server whenever you like; the work goes on at its next start."),
        ),
        DropZone(),
        Samples(),
        Section(*map(Card, jobs), id="cards"),
        Footer(A("Behind the scenes", href="/errands/")),
        None if all(job.is_final for job in jobs) else reload,
        hx_on__send_error="this.classList.add('away')",
        hx_on__before_on_load="this.classList.remove('away')",
    )


@rt("/upload", methods="post")
def upload(
    pictures: list[UploadFile], background: BackgroundTasks, htmx: HtmxHeaders
) -> tuple[FT, ...] | Redirect:
    """Keep the pictures of a form; each of them becomes a job."""
    files = [file for file in pictures if getattr(file, "filename", "")]  # no text, no empty field
    return answer(htmx, [keep(file.file, str(file.filename), background) for file in files])


@rt("/sample", methods="post")
def sample(
    name: str, background: BackgroundTasks, htmx: HtmxHeaders
) -> tuple[FT, ...] | Redirect | Response:
    """Upload one of the samples, as if it came from the visitor's disk."""
    if name not in SAMPLES:
        return Response("There is no such sample.", 404)
    with (DRAWN / f"{name}.jpg").open("rb") as file:
        return answer(htmx, [keep(file, f"{name}.jpg", background)])


@rt("/card")
async def card(job_id: str) -> FT | Response:
    """A card as it stands now. The status 286 tells htmx to ask no more."""
    job = await errands.job(job_id)
    return Card(job) if job else Response(status_code=286)


def keep(file: BinaryIO, name: str, background: BackgroundTasks) -> Job:
    """Save a picture under an id of our own, then add the job that develops it."""
    photo = uuid4().hex
    size = (ORIGINALS / photo).write_bytes(file.read(MAX_BYTES + 1))  # one more: too large
    (ORIGINALS / f"{photo}.name").write_text(name, encoding="utf-8")
    background.add_task(log_line, f"{photo} {size} bytes {name!r}")
    return background.options(key=photo).add_task(develop, photo, name)


def answer(htmx: HtmxHeaders, jobs: list[Job]) -> tuple[FT, ...] | Redirect:
    """The new cards, newest first; for a browser without scripts, the way back to the page."""
    return tuple(map(Card, reversed(jobs))) if htmx.request else Redirect("/")


def DropZone() -> FT:
    """A file input as large as the zone: one can drop files on it even without scripts."""
    return Form(
        Input(type="file", name="pictures", accept=ACCEPTED, multiple=True, aria_label="Pictures"),
        Img(src="/static/picture.svg", alt=""),
        Strong("Drop your pictures here"),
        Small(f"or click to choose: JPEG, PNG or WebP, up to {MAX_BYTES // 1024**2} MB each"),
        Noscript(Button("Upload")),
        Output(id="notice"),
        id="drop",
        method="post",
        action=upload,
        hx_post=upload,
        hx_trigger="change",
        hx_target="#cards",
        hx_swap="afterbegin",
        hx_on__before_request="notice.textContent = ''",
        hx_on__response_error="notice.textContent = event.detail.xhr.responseText",
        hx_on__after_request="this.reset()",
        hx_on_dragenter="this.classList.add('over')",
        hx_on_dragleave="this.classList.remove('over')",
        hx_on_drop="this.classList.remove('over')",
    )


def Samples() -> FT:
    """Pictures for those who have none at hand."""
    return Form(
        P("No picture at hand? Try one of these."),
        *(
            Button(Img(src=f"/samples/{name}.jpg", alt=""), Span(name), name="name", value=name)
            for name in SAMPLES
        ),
        id="samples",
        method="post",
        action=sample,
        hx_post=sample,
        hx_target="#cards",
        hx_swap="afterbegin",
    )


def Card(job: Job) -> FT:
    """A photo and what has become of it; asks for its own next version until the job is final."""
    photo = job.key or ""
    named = ORIGINALS / f"{photo}.name"
    name = named.read_text(encoding="utf-8") if named.exists() else photo
    poll = {"hx_get": card.to(job_id=job.id), "hx_trigger": "every 500ms", "hx_swap": "outerHTML"}
    return Article(
        Div(*(Print(photo, size) for size in reversed(SIZES)), cls="prints"),
        Palette(job) if job.state is State.DONE else Bar(job),
        Header(H2(name, title=name), Span(job.state, cls="state")),
        P(story(job)),
        A("Why it failed", href=f"/errands/jobs/{job.id}") if job.state is State.FAILED else None,
        id=f"card-{photo}",
        cls=f"card {job.state}",
        **({} if job.is_final else poll),
    )


def Print(photo: str, size: int) -> FT:
    """A thumbnail, or the place for it."""
    made = (THUMBNAILS / f"{photo}-{size}.jpg").exists()
    url = f"/thumbnails/{photo}-{size}.jpg"
    # After a swap htmx shows the old classes of a known id for a moment: so CSS can fade to `made`.
    return Div(
        A(Img(src=url, alt=f"{size} pixels"), Small(size), href=url) if made else None,
        id=f"print-{photo}-{size}",
        cls="print made" if made else "print",
    )


def Bar(job: Job) -> FT:
    percent = round(100 * ((job.progress and job.progress.fraction) or 0))
    return Div(
        Div(id=f"bar-{job.key}", style=f"width: {percent}%"),
        role="progressbar",
        aria_label="Progress",
        aria_valuenow=percent,
        cls="strip bar",
    )


def Palette(job: Job) -> FT:
    return Div(*map(Swatch, errands.value(job)), cls="strip")


def Swatch(colour: str) -> FT:
    ink = "#000b" if is_light(colour) else "#fffd"
    return Code(colour, style=f"background: {colour}; color: {ink}")


def story(job: Job) -> str:
    """How a job stands, in one line and in the words of a visitor."""
    match job.state:
        case State.QUEUED:
            return "Waits for its turn" if job.attempt == 0 else "Will be tried again in a moment"
        case State.RUNNING if job.progress and job.progress.total:
            step = job.progress
            return f"{step.text} ({step.done:g} of {step.total:g})"
        case State.RUNNING:
            return "Begins"
        case State.DONE if job.started_at and job.finished_at:
            seconds = (job.finished_at - job.started_at).total_seconds()
            return f"{len(SIZES)} thumbnails and a palette in {seconds:.1f} s"
        case State.FAILED:
            kind, _, words = (job.error or "").rstrip().rpartition("\n")[2].partition(": ")
            ours = kind.endswith(BrokenPicture.__name__)
            return words if ours else "Something went wrong on our side."
        case _:
            return ""


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "5001")))
