"""The help of the command line: its commands by what they are for, each in a whole sentence."""

import click

SECTIONS = {
    "The job": ("run", "status", "up", "down", "docs", "airflow", "sample", "config"),
    "Its steps, one by one": ("ingest", "build", "features", "train", "score"),
    "For the retention team": ("list", "rejects", "show", "watch"),
    "The model": ("evaluate", "promote", "rollback", "mlflow"),
    "Scores for other programs": ("serve", "api-key"),
    "Where a number comes from": ("trace", "history", "diff", "reproduce"),
    "Keeping it": ("backup", "restore", "tidy"),
}
# Of a sentence of help; click cuts at the width of a line, which hides what a command is for.
LONGEST = 200


class Group(click.Group):
    """Lists commands in the sections that name them, the others below."""

    group_class = type

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections that have commands of this group, and what is in none of them."""
        sections = SECTIONS if context.parent is None else {}
        others = set(self.commands).difference(*sections.values())
        # Padded, so that every section has the same second column.
        width = max(map(len, self.commands))
        for title, names in {**sections, "Commands": sorted(others)}.items():
            rows = [
                (name.ljust(width), self.commands[name].get_short_help_str(LONGEST))
                for name in names
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
