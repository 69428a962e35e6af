"""What the documents say is so: their code runs, their commands and files are there."""

import importlib
import re
import sys
from pathlib import Path

import httpx
import pytest
from documents import ROOT, TARGET, anchors, blocks, links, make_targets, paths, text_of
from live_server import PATIENCE, Server, environment, run

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/transactions.md"]
PYTHON = blocks("README.md", "python")
PROGRAMS = [code for code in PYTHON if "asyncio.run(" in code]
APPLICATIONS = [code for code in PYTHON if re.search(r"^app\b.* = ", code, re.MULTILINE)]
MODULE = re.compile(r"`(errands(?!\.db)(?:\.\w+)+)`")


def named(examples: list[str], word: str) -> str:
    """The one example that says this word."""
    (found,) = [code for code in examples if word in code]
    return found


def serving(code: str, folder: Path) -> Server:
    """An example, saved as a user saves it and not yet started."""
    (folder / "main.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "uvicorn", "main:app", "--port", "0"]
    return Server(command, folder, environment())


def test_every_block_of_python_compiles() -> None:
    """A reader may copy any of them."""
    assert len(PYTHON) >= 3
    for number, code in enumerate(PYTHON, 1):
        compile(code, f"README.md, block {number}", "exec", dont_inherit=True)


def test_every_block_of_python_is_a_whole_program() -> None:
    """None leans on another, and so the tests below run each of them."""
    assert sorted(PYTHON) == sorted([*PROGRAMS, *APPLICATIONS])


@pytest.mark.slow
@pytest.mark.parametrize("code", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_runs(tmp_path: Path, code: str) -> None:
    """From a file in an empty folder, without a warning."""
    (tmp_path / "main.py").write_text(code, encoding="utf-8")

    output = run([sys.executable, "-W", "error", "main.py"], tmp_path)

    assert "" != output
    assert ["main.py"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.slow
def test_the_example_for_anywhere_does_what_it_says(tmp_path: Path) -> None:
    """It prints the double of its number."""
    (tmp_path / "main.py").write_text(named(PROGRAMS, "double"), encoding="utf-8")

    output = run([sys.executable, "main.py"], tmp_path)

    assert "42" == output.splitlines()[0]


@pytest.mark.slow
@pytest.mark.parametrize("code", APPLICATIONS, ids=range(len(APPLICATIONS)))
def test_an_application_starts_and_stops(tmp_path: Path, code: str) -> None:
    """Without a warning or an error in its log."""
    with serving(code, tmp_path) as server, httpx.Client(trust_env=False) as http:
        answer = http.get(f"{server.url}/nowhere", timeout=PATIENCE)

    assert 404 == answer.status_code
    assert not re.search(r"warning|error|traceback", server.output, re.IGNORECASE)


@pytest.mark.slow
def test_the_fasthtml_example_does_what_it_says(tmp_path: Path) -> None:
    """The page keeps itself up to date until the job is done."""
    with (
        serving(named(APPLICATIONS, "fasthtml"), tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        answer = http.post("/upload").raise_for_status()
        (status,) = re.findall(r'hx-get="([^"]+)"', answer.text)
        server.wait_for("somebody uploaded")
        server.wait_for("cat.png at 256 pixels")

    assert "Working on it" in answer.text
    assert status.startswith("/")


@pytest.mark.slow
def test_the_fastapi_example_does_what_it_says(tmp_path: Path) -> None:
    """202 with the id of a job, which runs."""
    with (
        serving(named(APPLICATIONS, "fastapi"), tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        answer = http.post("/signup", params={"address": "mary@example.org"})
        server.wait_for("To mary@example.org: welcome!")

    assert 202 == answer.status_code
    assert {"job"} == set(answer.json())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_target_of_make_exists(name: str) -> None:
    """Commands that a reader types are those of the Makefile."""
    known = set(TARGET.findall(text_of("Makefile")))

    assert [] == [target for target in make_targets(name) if target not in known]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_into_the_project_leads_somewhere(name: str) -> None:
    """Files, pictures and headings."""
    broken = []
    for link in links(name):
        path, _, anchor = link.partition("#")
        target = ROOT / (path or name)
        if not target.exists() or (anchor and anchor not in anchors(path or name)):
            broken.append(link)

    assert [] == broken


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_is_named_exists(name: str) -> None:
    """In the text as in the commands."""
    assert [] == [path for path in paths(name) if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_module_and_name_of_ours_exists(name: str) -> None:
    """`errands.testing`, `errands.testing.StoreContract` and the like."""
    missing = [dotted for dotted in MODULE.findall(text_of(name)) if not is_there(dotted)]

    assert [] == missing


def test_each_benchmark_has_its_numbers_on_the_page() -> None:
    """Below its command, where `measuring/readme.py` writes them."""
    page = text_of("benchmarks/README.md")
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        head = f"`python benchmarks/{script.name}`\n\n```text\n"
        assert head in page, f"{script.name} has no block"
        block = page.partition(head)[2].partition("```")[0]
        first = (script.read_text().partition('"""')[2]).partition("\n")[0]
        assert block.startswith(first.partition('"""')[0]), f"{script.name} says {first!r}"


def is_there(dotted: str) -> bool:
    """Whether a module has this name, or the module before the last dot has it."""
    module, _, last = dotted.rpartition(".")
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(module), last)
    return True


def test_the_documents_are_looked_through() -> None:
    """The searches of the tests above do find what is there."""
    assert "demo" in make_targets("README.md")
    assert "SECURITY.md" in links("README.md")
    assert "constraints.txt" in paths("CONTRIBUTING.md")
    assert "src/errands/stores/" in paths("CONTRIBUTING.md")
    assert "errands.testing" in MODULE.findall(text_of("README.md"))
