"""Implement `churn init`: draft a domain folder from a workbook."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from churn.reports.draft_page import draft_page
from lakehouse.amounts import format_number
from lakehouse.domain import Domain
from lakehouse.errors import InvalidInputError
from lakehouse.process import Log
from seeds_loader.draft.files import write_domain
from seeds_loader.draft.profile import Profile, profile_table
from seeds_loader.draft.roles import (
    Draft,
    Label,
    choose_id,
    choose_label,
    draft_roles,
    find_label_candidates,
)
from seeds_loader.reader.sandbox import read_unknown_workbook
from seeds_loader.source_format import SourceFormat

NO_ID = "none"
# The page beside the files that shows what was found.
PAGE = "draft.html"
Ask = Callable[[str, str | None], str]


@dataclass(frozen=True)
class Answers:
    """What the caller states about the workbook; None is found out.

    `ask` asks the user a question and proposes an answer; None: the command asks nothing.
    """

    id: str | None = None
    label: str | None = None
    left: str | None = None
    value: str | None = None
    ask: Ask | None = None


def draft_domain(
    workbook: Path,
    folder: Path,
    sheet: str | None,
    source_format: SourceFormat,
    answers: Answers,
    log: Log,
) -> Draft:
    """Read a workbook, decide what each column is for, and write the domain folder.

    Args:
        workbook: An .xlsx, .xls or .csv file.
        folder: The folder to create.
        sheet: The sheet's name; None to take the largest table.
        source_format: How the file writes text.
        answers: What the caller states.
        log: Callback for progress messages.

    Raises:
        InvalidInputError: The folder exists, the workbook has no usable table, or it is not clear
            which column is the label or the id.
    """
    if folder.exists():
        raise InvalidInputError(
            f"{folder} exists already",
            where=str(folder),
            hint="name another folder with --out, or move this one away",
        )
    extract = read_unknown_workbook(workbook, sheet, log, source_format)
    profiles = profile_table(extract.table, extract.choices)
    where = f", sheet '{extract.sheet}'" if extract.sheet else ""
    log(f"{format_number(extract.table.num_rows, 'row')} of {len(profiles)} columns{where}")
    header = answers.label or _ask_for_label(profiles, answers.ask)
    label = choose_label(profiles, header, answers.left)
    customer_id = _choose_id(workbook, profiles, label, answers)
    draft = draft_roles(profiles, label, customer_id, answers.value)
    write_domain(draft, folder, workbook.name)
    _validate(folder)
    (folder / PAGE).write_text(draft_page(draft, workbook.name))
    return draft


def _ask_for_label(profiles: Sequence[Profile], ask: Ask | None) -> str | None:
    if ask is None:
        return None
    candidates = find_label_candidates(profiles)
    return ask("Which column says who left?", candidates[0].header if candidates else None)


def _choose_id(
    workbook: Path, profiles: Sequence[Profile], label: Label, answers: Answers
) -> Profile | None:
    """Return the id's column, or None if the caller wants to go by the rows of the sheet."""
    header = answers.id
    if header is None and answers.ask:
        likely = choose_id(profiles, None, label)
        proposed = likely.header if likely else NO_ID
        header = answers.ask("Which column identifies the customer (or none)?", proposed)
    if header is not None and header.casefold() == NO_ID:
        return None
    customer_id = choose_id(profiles, header, label)
    if customer_id is None:
        raise _no_id_error(workbook)
    return customer_id


def _no_id_error(workbook: Path) -> InvalidInputError:
    return InvalidInputError(
        f"no column of {workbook.name} identifies a customer: none has a value of its own per row",
        where=str(workbook),
        hint="name one with --id COLUMN. Or go by the rows of the sheet with --id none: a model "
        "and a list by row work then, but no customer is known again in the next extract, so that "
        "there is no observed churn and no history",
    )


def _validate(folder: Path) -> None:
    """Read the files back: a draft that the pipeline can't use is an error of this command."""
    domain = Domain(folder)
    _ = domain.variables, domain.model, domain.campaign, domain.report


def format_draft(draft: Draft, folder: Path, workbook: Path, home: Path) -> list[str]:
    """Return the decisions as lines of text, with the next two commands.

    They name absolute paths: those of settings are relative to the project, not to the shell's
    folder. `home` is the CHURN_HOME in use; a lake has one domain, so that another gets its own.
    """
    label, share = draft.label, draft.label.is_left.mean()
    lines = [
        f"label       {label.profile.header}: {label.left!r} left ({share:.1%})",
        f"id          {draft.id.header if draft.id else 'none: the row of the sheet'}",
        f"value       {draft.value.header if draft.value else 'none: the list has no amounts'}",
        f"features    {len(draft.features)}: {', '.join(each.header for each in draft.features)}",
    ]
    lines += [f"set aside   {header}: {reason}" for header, reason in draft.set_aside.items()]
    lines += [f"look at     {name}: {evidence}" for name, evidence in draft.accepted.items()]
    return [
        *lines,
        "",
        f"In pictures: {folder / PAGE}",
        f"Read and edit the files in {folder}. Then choose the domain and a home for it, in each "
        "shell or in .env, and run the workbook:",
        f"  export CHURN_DOMAIN={shlex.quote(str(folder.absolute()))} "
        f"CHURN_HOME={shlex.quote(str(home.with_name(f'{home.name}-{folder.name}')))}",
        f"  {shlex.join(['churn', 'run', str(workbook)])}",
    ]
