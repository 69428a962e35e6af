"""`errands doctor`: checks what can be wrong with a store and its workers, and says what to do."""

from __future__ import annotations

import asyncio
import sys

import click

from errands import Errands, ErrandsError

from . import _checks as checks
from ._checks import Finding
from ._reach import Reach, reaching, with_json
from ._tables import write_json
from ._texts import one_line

WELL, ILL = "✔", "✘"


@click.command("doctor", context_settings={"max_content_width": 100})
@with_json
@reaching
def doctor_command(reach: Reach, *, is_json: bool) -> None:
    """Check the store, its workers, tasks and schedules, and say what to do.

    The exit status is 1 if something is wrong. Nothing is changed.
    """
    errands = reach.errands()
    findings = asyncio.run(_examined(errands))
    if is_json:
        write_json(
            [
                {"check": each.check, "ok": each.is_well, "text": each.text, "cure": each.cure}
                for each in findings
            ]
        )
    else:
        for each in findings:
            _tell(each)
    sys.exit(0 if all(each.is_well for each in findings) else 1)


async def _examined(errands: Errands) -> list[Finding]:
    """What was found; where the store cannot be used, the rest is not looked at."""
    try:
        findings = checks.of_store(errands, await errands.examine())
    except (ErrandsError, OSError) as error:
        return [_away(error)]
    if any(each.check == "schema" and not each.is_well for each in findings):
        return findings
    try:
        async with errands:
            for check in checks.CHECKS:
                findings.append(await check(errands))
    except (ErrandsError, OSError) as error:
        findings.append(_away(error))
    return findings


def _away(error: Exception) -> Finding:
    """The message of an error, which says at its end what to do."""
    text, _, cure = str(error).rpartition(": ")
    return Finding("store", text or "it cannot be used", cure)


def _tell(finding: Finding) -> None:
    mark = click.style(WELL, fg="green") if finding.is_well else click.style(ILL, fg="red")
    cure = "" if finding.cure is None else f": {one_line(finding.cure)}"
    click.echo(f"{mark} {finding.check:<9}  {one_line(finding.text)}{cure}")
