"""The wheel: what `pip install errands` brings, and that it works where nothing else is."""

import importlib.util
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from documents import ROOT, first_example, text_of
from live_server import PATIENCE, Server, environment, run

Pip = Callable[..., str]
Install = Callable[..., Path]

PROGRAM = """
import asyncio
import sys

from errands import Errands, errors

assert not {"fastapi", "fasthtml", "starlette"} & set(sys.modules)


async def main(url: str) -> None:
    errands = Errands(url)

    @errands.task
    def double(number: int) -> int:
        return 2 * number

    async with errands.working():
        job = await errands.add_task(double, 21)
        print(await errands.result(job, timeout=30))


for url in sys.argv[1:]:
    asyncio.run(main(url))
"""

WRITTEN = {".py", ".md", ".css", ".js"}  # by hand

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Pip:
    """A pip that reaches a registry, as it was set up on this machine."""
    folder = tmp_path_factory.mktemp("pip")
    python = Path(sys.executable)
    if importlib.util.find_spec("pip") is None:  # in a venv that uv has made
        venv.create(folder / "venv", with_pip=True)
        python = python_of(folder / "venv")

    def pip(*arguments: str | Path) -> str:
        started = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
        return run(started, folder)

    (backend,) = tomllib.loads(text_of("pyproject.toml"))["build-system"]["requires"]
    quick = ["--retries=1", "--timeout=15"]
    try:
        pip("download", "--no-deps", "-d", folder, *quick, backend)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        (*_, last) = ["", *str(error).splitlines()]
        pytest.skip(f"pip reaches no registry that has {backend}: {last}")
    return pip


@pytest.fixture(scope="module")
def wheel(pip: Pip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the project as it is now."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "-w", folder, ROOT)
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture
def install(pip: Pip, wheel: Path, tmp_path: Path) -> Install:
    """Install the wheel into an empty venv; answers with that venv's Python."""

    def install(extras: str = "", *others: str) -> Path:
        venv.create(tmp_path / "venv", symlinks=True)
        python = python_of(tmp_path / "venv")
        ours = f"errands{extras} @ {wheel.as_uri()}"
        pinned = ["-c", ROOT / "constraints.txt"]
        pip("--python", python, "install", *pinned, ours, *others)
        return python

    return install


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every file of the package, its types among them; no tests and no examples."""
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "errands").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    found = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}

    assert expected == found
    assert "errands/py.typed" in found
    assert not [name for name in found if re.search(r"tests|examples|conftest", name)]


def test_the_wheel_brings_its_licence_and_its_readme(wheel: Path) -> None:
    """What a registry shows, and what the licence asks for."""
    with ZipFile(wheel) as opened:
        (folder,) = {name.split("/")[0] for name in opened.namelist() if ".dist-info/" in name}
        licence = opened.read(f"{folder}/licenses/LICENSE").decode()
        metadata = opened.read(f"{folder}/METADATA").decode()

    assert text_of("LICENSE") == licence
    assert metadata.rstrip().endswith(text_of("README.md").rstrip())


@pytest.mark.usefixtures("pip")  # which finds out whether there is a registry
def test_the_sources_are_whole(tmp_path: Path) -> None:
    """Whoever packages them can run the tests, which read documents and examples."""
    run([sys.executable, "-m", "build", "--sdist", "-o", tmp_path, ROOT], tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        found = {name.partition("/")[2] for name in opened.getnames()}
    folders = ("src", "tests", "docs", "examples", "benchmarks", "newsfragments")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    expected = {path.relative_to(ROOT).as_posix() for path in paths if path.suffix in WRITTEN}

    assert set() == expected - found
    assert {"Makefile", "README.md", "constraints.txt", "pyproject.toml"} <= found


def test_the_bare_wheel_works_without_any_framework(install: Install, tmp_path: Path) -> None:
    """A small program runs a job in memory and one in a file."""
    python = install()
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")

    where = run([python, "-c", "import errands; print(errands.__file__)"], folder)
    output = run([python, "-W", "error", "program.py", "memory:", "sqlite:///errands.db"], folder)

    assert Path(where.strip()).is_relative_to(tmp_path / "venv")
    assert ["42", "42"] == output.split()
    assert (folder / "errands.db").exists()


def test_the_bare_wheel_brings_the_command_line(install: Install, tmp_path: Path) -> None:
    """As a script, and as a module."""
    python = install()
    script = run([python.with_name("errands"), "worker", "--help"], tmp_path)
    module = run([python, "-m", "errands", "worker", "--help"], tmp_path)

    assert script == module
    assert "errands worker app.main:errands" in script


def test_the_first_example_works_as_it_stands(install: Install, tmp_path: Path) -> None:
    """What a visitor does in the first five minutes: install, copy, start, look."""
    python = install("[fasthtml]", "uvicorn")
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "main.py").write_text(first_example(), encoding="utf-8")
    command: list[str | Path] = [python, "-m", "uvicorn", "main:app", "--port", "0"]
    with (
        Server(command, folder, environment()) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as http,
    ):
        answer = http.post("/upload", headers={"HX-Request": "true"}).raise_for_status()
        server.wait_for("somebody uploaded")
        server.wait_for("cat.png at 256 pixels")
        last = follow(http, answer.text)

    assert "Working on it" in answer.text
    assert "done" in last
    assert not re.search(r"warning|error|traceback", server.output, re.IGNORECASE)
    assert (folder / "errands.db").exists()


def follow(http: httpx.Client, fragment: str) -> str:
    """What htmx would show in the end: it asks again until there is nothing to ask."""
    end = time.monotonic() + PATIENCE
    while polled := re.search(r'hx-get="([^"]+)"', fragment):
        assert time.monotonic() < end, f"this does not come to its end: {fragment}"
        time.sleep(0.05)  # a page gets no signal either
        fragment = http.get(polled[1]).raise_for_status().text
    return fragment
