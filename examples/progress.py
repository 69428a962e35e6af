"""Progress: a page that shows how far its jobs are, and then what came of them.

It needs no htmx, and nothing from other servers: `live=True` follows each job by a stream.

Start it by `python examples/progress.py`, open http://127.0.0.1:5003 and have a text weighed.
Stop it in the middle and start it again: the page goes on.

    PAUSE           seconds to rest at each word, so that people can watch; 0.2
    ERRANDS_URL     the store; `sqlite:///errands.db` in the current folder
    PORT            5003
"""

# FastHTML's components have no types:
# mypy: no-warn-return-any

import os
from collections import Counter
from time import sleep

import uvicorn
from fasthtml.common import *

from errands import Errands, Job, track
from errands.fasthtml import JobResult, setup_errands

PAUSE = float(os.environ.get("PAUSE", "0.2"))
TEXT = "She sells sea shells by the sea shore and the shells she sells are sea shells I am sure"
LOOK = """
:root { color-scheme: light dark; font: 17px/1.6 system-ui, sans-serif; }
body { max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; }
textarea, button { font: inherit; border-radius: 10px; border: 1px solid #8886; }
textarea { width: 100%; box-sizing: border-box; padding: .75rem 1rem; background: #8881; }
button { padding: .4rem 1.25rem; margin-block: .5rem 1.5rem; background: #5b53d6; color: #fff; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1rem; }
dd { margin: 0; opacity: .7; }
"""

app = FastHTML(default_hdrs=False, hdrs=[Style(LOOK)], title="Weigh a text", secret_key="none")
errands = Errands()
setup_errands(app, errands)


@errands.task(name="weigh")
def weigh(text: str) -> dict[str, int]:
    words = Counter[str]()
    for word in track(text.lower().split(), "Weighing the words"):
        sleep(PAUSE)
        words[word] += 1
    return dict(words.most_common(5))


def Weights(words: dict[str, int]) -> FT:
    return Dl(*((Dt(word), Dd("●" * count)) for word, count in words.items()))


def Weighed(job: Job) -> FT:
    return JobResult(job, Weights, live=True)


@app.get("/")
async def index() -> FT:
    form = Form(Textarea(TEXT, name="text", rows=3), Button("Weigh it"), method="post", action="/")
    jobs = await errands.jobs(task="weigh", limit=3)
    return Main(H1("Weigh a text"), form, *map(Weighed, jobs))


@app.post("/")
async def start(text: str) -> Redirect:
    await errands.add_task(weigh, text)
    return Redirect("/")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "5003")))
