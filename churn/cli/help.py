"""Format the command line's help: commands grouped by purpose, each with summary and examples."""

import copy
from typing import Any

import click

from churn.cli.examples import list_examples
from churn.cli.usage_errors import report_usage_errors

SECTIONS = {
    "The job": (
        "run",
        "demo",
        "status",
        "runs",
        "logs",
        "up",
        "down",
        "docs",
        "sql",
        "airflow",
        "sample",
        "init",
        "contract",
        "config",
    ),
    "Single steps": ("ingest", "build", "approve", "features", "train", "score"),
    "For the retention team": (
        "retention-list",
        "campaign",
        "rejects",
        "show",
        "letter",
        "monitor",
    ),
    "The model": ("evaluate", "evidence", "promote", "rollback", "mlflow"),
    "Access for others": ("serve", "api-key", "user"),
    "Provenance": ("trace", "history", "diff", "reproduce"),
    "Customers' rights": ("person", "forget"),
    "Backup and clean-up": ("backup", "restore", "cleanup"),
}
# The commands that a newcomer needs, in this order.
FIRST_STEPS = (
    ("churn demo", "see the whole job on generated customers, without a workbook"),
    ("churn run WORKBOOK", "do it with your own workbook"),
    ("churn docs", "read the reports and trace the numbers in a browser"),
)
CLOSING = (
    "`churn COMMAND --help` describes a command, with examples.",
    "Exit codes: 0 done, 1 error, 2 the request or the workbook is unusable, 3 the gate refused "
    "the load, 4 a service does not answer or another run writes, 130 interrupted.",
)
# Maximum length of a command's summary; click's own limit, the line width, would cut it off.
LONGEST = 200


def _write_examples(command: click.Command, formatter: click.HelpFormatter) -> None:
    """Write the examples, which are not wrapped, so that they can be copied."""
    if lines := list_examples(command):
        with formatter.section("Examples"):
            indent = " " * formatter.current_indent
            formatter.write("".join(f"{indent}{line}\n" for line in lines))


class Command(click.Command):
    """Command whose help ends with its examples."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Parse the arguments; an error of them names the command, which click leaves out."""
        try:
            return super().parse_args(context, arguments)
        except click.UsageError as error:
            error.ctx = error.ctx or context
            raise

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        _write_examples(self, formatter)


class Group(click.Group):
    """Command group that lists its commands in named sections and the remaining ones last."""

    group_class = type
    command_class = Command

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Parse the arguments of the group; report an error of them in the usual form."""
        with report_usage_errors():
            return super().make_context(*arguments, **extra)

    def invoke(self, context: click.Context) -> Any:
        """Parse the arguments of its command and call it; report an error of them likewise."""
        with report_usage_errors():
            return super().invoke(context)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write an example of each command, or where to find them if the group is the top one."""
        if context.parent is not None:
            _write_examples(self, formatter)
            return
        for paragraph in CLOSING:
            formatter.write_paragraph()
            formatter.write_text(paragraph)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that contain commands of this group, then the remaining commands.

        Args:
            context: The click context; only the top-level group is divided into sections.
            formatter: The help formatter to write to.
        """
        sections = SECTIONS if context.parent is None else {}
        if context.parent is None:
            with formatter.section("Start with"):
                formatter.write_dl(FIRST_STEPS)
        visible = {name for name, command in self.commands.items() if not command.hidden}
        elsewhere = set().union(*sections.values())
        # In the order in which they are used, in which they are declared.
        others = [name for name in self.commands if name in visible - elsewhere]
        # Pad the names, so that the second column is aligned across sections.
        width = max(map(len, visible))
        for title, names in {**sections, "Commands": others}.items():
            rows = [
                (name.ljust(width), self.commands[name].get_short_help_str(LONGEST))
                for name in names
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def add_hidden_alias(group: click.Group, name: str, former: str) -> None:
    """Keep a command available under its former name, which the help does not list."""
    alias = copy.copy(group.commands[name])
    alias.name, alias.hidden = former, True
    group.add_command(alias)
