"""Format the command line's help: commands grouped by purpose, each with its full summary."""

import copy

import click

SECTIONS = {
    "The job": (
        "run",
        "demo",
        "status",
        "up",
        "down",
        "docs",
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
    "Scores for other programs": ("serve", "api-key"),
    "Provenance": ("trace", "history", "diff", "reproduce"),
    "Customers' rights": ("person", "forget"),
    "Backup and clean-up": ("backup", "restore", "cleanup"),
}
# Maximum length of a command's summary; click's own limit, the line width, would cut it off.
LONGEST = 200


class Group(click.Group):
    """Command group that lists its commands in named sections and the remaining ones last."""

    group_class = type

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that contain commands of this group, then the remaining commands.

        Args:
            context: The click context; only the top-level group is divided into sections.
            formatter: The help formatter to write to.
        """
        sections = SECTIONS if context.parent is None else {}
        visible = {name for name, command in self.commands.items() if not command.hidden}
        others = visible.difference(*sections.values())
        # Pad the names, so that the second column is aligned across sections.
        width = max(map(len, visible))
        for title, names in {**sections, "Commands": sorted(others)}.items():
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
