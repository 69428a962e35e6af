"""The documents at the root of the project, as their readers take them: code, links, commands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
IN_TREE = re.compile(r"(?<![\w./-])(?:src|tests|examples|benchmarks|docs)/[\w./-]*")
AT_ROOT = re.compile(r"(?<![\w./-])[\w-]+\.(?:md|toml|txt)\b")
MAKE = re.compile(r"(?:`|^)make ([a-z]+)", re.MULTILINE)
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of a language, in their order."""
    return [code for found, code in FENCE.findall(text_of(name)) if found == language]


def first_example() -> str:
    """The first code of the README, which a visitor copies: a whole application."""
    return blocks("README.md", "python")[0]


def links(name: str) -> list[str]:
    """Where it links to inside the project, as it is written."""
    return [link for link in LINK.findall(text_of(name)) if "://" not in link]


def paths(name: str) -> list[str]:
    """The files and folders that it names in its text and in its commands."""
    text = LINK.sub("]", text_of(name))
    found = [match.rstrip(".") for match in IN_TREE.findall(text) + AT_ROOT.findall(text)]
    return sorted(set(found))


def make_targets(name: str) -> list[str]:
    """The targets that it tells to make."""
    return sorted(set(MAKE.findall(text_of(name))))


def anchors(name: str) -> set[str]:
    """What its headings are called in links, as GitHub and GitLab do."""
    headings = re.findall(r"^#+ (.+)$", text_of(name), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
