"""The programs of FastAPI's tutorial page "Background Tasks", with another import and one line.

Each is written as the page writes it, in all the forms that the page has: with and without
`Annotated`, and as it was for Python 3.9 and before.
"""

from pathlib import Path
from types import ModuleType

import pytest
from fastapi.testclient import TestClient

from errands import Errands
from errands.testing import drain

WRITE_NOTIFICATION = """
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()


def write_notification(email: str, message=""):
    with open("log.txt", mode="w") as email_file:
        content = f"notification for {email}: {message}"
        email_file.write(content)


@app.post("/send-notification/{email}")
async def send_notification(email: str, background_tasks: BackgroundTasks):
    background_tasks.add_task(write_notification, email, message="some notification")
    return {"message": "Notification sent in the background"}
"""

WRITE_LOG = """
{imports}

app = FastAPI()


def write_log(message: str):
    with open("log.txt", mode="a") as log:
        log.write(message)


def get_query(background_tasks: BackgroundTasks, q: {query}):
    if q:
        message = f"found query: {{q}}\\n"
        background_tasks.add_task(write_log, message)
    return q


@app.post("/send-notification/{{email}}")
async def send_notification(
    email: str, background_tasks: BackgroundTasks, q: {dependency}
):
    message = f"message to {{email}}\\n"
    background_tasks.add_task(write_log, message)
    return {{"message": "Message sent"}}
"""

PLAIN = "from fastapi import BackgroundTasks, Depends, FastAPI"

PROGRAMS = {
    "tutorial001": WRITE_NOTIFICATION,
    "tutorial002": WRITE_LOG.format(
        imports=f"from typing import Union\n\n{PLAIN}",
        query="Union[str, None] = None",
        dependency="str = Depends(get_query)",
    ),
    "tutorial002_py310": WRITE_LOG.format(
        imports=PLAIN, query="str | None = None", dependency="str = Depends(get_query)"
    ),
    "tutorial002_an": WRITE_LOG.format(
        imports=f"from typing import Union\n\n{PLAIN}\nfrom typing_extensions import Annotated",
        query="Union[str, None] = None",
        dependency="Annotated[str, Depends(get_query)]",
    ),
    "tutorial002_an_py39": WRITE_LOG.format(
        imports=f"from typing import Annotated, Union\n\n{PLAIN}",
        query="Union[str, None] = None",
        dependency="Annotated[str, Depends(get_query)]",
    ),
    "tutorial002_an_py310": WRITE_LOG.format(
        imports=f"from typing import Annotated\n\n{PLAIN}",
        query="str | None = None",
        dependency="Annotated[str, Depends(get_query)]",
    ),
}
QUERIES = [name for name in PROGRAMS if name != "tutorial001"]


def moved(program: str) -> str:
    """The program with another import of its `BackgroundTasks`, and one more line."""
    assert 1 == program.count("import BackgroundTasks, ")
    assert 1 == program.count("app = FastAPI()\n")
    return program.replace(
        "from fastapi import BackgroundTasks, ",
        "from errands.fastapi import BackgroundTasks, setup_errands\nfrom fastapi import ",
    ).replace("app = FastAPI()\n", "app = FastAPI()\nsetup_errands(app, errands)\n")


def load(folder: Path, name: str, program: str, errands: Errands | None = None) -> ModuleType:
    """Run the program as a module of its own."""
    path = folder / f"{name}.py"
    path.write_text(program)
    module = ModuleType(name)
    module.__dict__.update(__file__=str(path), errands=errands)
    exec(compile(program, path, "exec"), module.__dict__)
    return module


def told(module: ModuleType, errands: Errands | None, *urls: str) -> tuple[list[object], str]:
    """What the program answers to each of the requests, and what its log then says."""
    with TestClient(module.app) as client:
        answers: list[object] = [client.post(url).json() for url in urls]
        if errands is not None:
            assert client.portal is not None
            client.portal.call(drain, errands)
        return answers, Path("log.txt").read_text()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs run, and write their `log.txt`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_program_writes_its_notification(folder: Path, errands: Errands) -> None:
    """With positional and keyword arguments; `mode="w"` leaves the last one."""
    module = load(folder, "tutorial001", moved(PROGRAMS["tutorial001"]), errands)

    for name in ("ann", "bob"):  # one after the other: two requests' tasks have no order
        answers, log = told(module, errands, f"/send-notification/{name}@example.com")
        assert [{"message": "Notification sent in the background"}] == answers
        assert f"notification for {name}@example.com: some notification" == log


@pytest.mark.parametrize("name", QUERIES)
def test_the_dependency_and_the_handler_write_one_after_the_other(
    folder: Path, errands: Errands, name: str
) -> None:
    """In the order in which they added, and the dependency only where there is a query."""
    module = load(folder, name, moved(PROGRAMS[name]), errands)
    url = "/send-notification/foo@example.com"

    answers, log = told(module, errands, f"{url}?q=some-query")
    assert [{"message": "Message sent"}] == answers
    assert "found query: some-query\nmessage to foo@example.com\n" == log

    answers, log = told(module, errands, url)
    assert [{"message": "Message sent"}] == answers
    assert "message to foo@example.com" == log.splitlines()[-1]
    assert 3 == len(log.splitlines())


@pytest.mark.parametrize("name", PROGRAMS)
def test_with_a_bare_client_the_log_is_there_at_once(
    folder: Path, errands: Errands, name: str
) -> None:
    """As the tutorial's own tests look at it: no lifespan, and no waiting."""
    module = load(folder, name, moved(PROGRAMS[name]), errands)

    TestClient(module.app).post("/send-notification/foo@example.com?q=some-query")
    assert "foo@example.com" in Path("log.txt").read_text()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_does_what_it_did_before(folder: Path, errands: Errands, name: str) -> None:
    """The answers, the log and the schema of the original, word by word."""
    urls = ["/send-notification/a@example.com?q=1", "/send-notification/b@example.com"]
    original = load(folder, name, PROGRAMS[name])
    expected = told(original, None, *urls)
    Path("log.txt").unlink()
    module = load(folder, name, moved(PROGRAMS[name]), errands)

    answers = [told(module, errands, url)[0][0] for url in urls]
    assert expected == (answers, Path("log.txt").read_text())
    assert original.app.openapi() == module.app.openapi()


@pytest.mark.parametrize("name", PROGRAMS)
def test_annotations_of_the_program_may_be_evaluated_later(
    folder: Path, errands: Errands, name: str
) -> None:
    """`from __future__ import annotations` in front of it changes nothing."""
    program = f"from __future__ import annotations\n{moved(PROGRAMS[name])}"
    module = load(folder, name, program, errands)

    _, log = told(module, errands, "/send-notification/foo@example.com?q=some-query")
    assert "foo@example.com" in log


def test_its_function_may_become_a_durable_task(folder: Path, errands: Errands) -> None:
    """One line above it is the next step; the handler stays as it is."""
    program = moved(PROGRAMS["tutorial001"]).replace(
        "def write_notification", "@errands.task\ndef write_notification"
    )
    module = load(folder, "tutorial001", program, errands)

    with TestClient(module.app) as client:
        client.post("/send-notification/foo@example.com")
        assert client.portal is not None
        client.portal.call(drain, errands)
        [job] = client.portal.call(errands.jobs)
    assert ("tutorial001.write_notification", "done") == (job.task, job.state)
    assert "notification for foo@example.com: some notification" == Path("log.txt").read_text()
