"""Define the `churn` command line.

Each command reads the settings once and calls the module that does the work. That module imports
Spark, Feast or dbt, which takes seconds: what can be checked without it is checked before, so that
a missing file is reported at once.
"""

import atexit
import functools
import gc
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.cli.examples import add_examples
from churn.cli.help import Group, add_hidden_alias
from churn.cli.output import (
    add_output_options,
    format_setting,
    print_json,
    print_message,
    print_result,
    print_sentences,
    report_error,
    report_exit,
    report_interruption,
    report_missing_reader,
    report_success,
    report_unexpected,
)
from churn.operations.backup_folder import require_backup_folder
from churn.pipeline.libraries import limit_threads, quiet_libraries
from churn.provenance.run_history import HINT_LATEST, HINT_NOW, read_summary
from churn.reports.xlsx_output import require_writable
from lakehouse.amounts import format_number
from lakehouse.command_name import CHURN, DEMO, name_commands
from lakehouse.errors import ChurnError, GateRefusedError, InvalidInputError
from lakehouse.ignored_settings import find_unknown_variables, format_ignored_settings
from lakehouse.log_format import configure_log
from lakehouse.near_matches import require_file
from lakehouse.private_home import protect
from lakehouse.progress import Steps
from lakehouse.run_log import start_log, stop_log
from lakehouse.sample_home import command_of, demo_environment
from lakehouse.settings import Settings, find_origins, read_settings
from lakehouse.terminal import (
    get_width,
    is_reader_gone,
    make_console,
    reset_options,
)
from seeds_loader.reader.file_format import require_workbook
from seeds_loader.source_format import DECIMAL_SIGNS, SourceFormat

if TYPE_CHECKING:  # Spark's client takes seconds to import: only where used
    from churn.pipeline.context import Request

# The commands check paths themselves: click's check of the rights fails without the cause, and also
# for a file that is to be written.
PATH = click.Path(path_type=Path, readable=False)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
# Rows of a query that a table shows, unless more are asked for.
SQL_ROWS = 40
SHEET = click.option("--sheet", help="Sheet to read; required if several meet the contract.")
DATE = click.option(
    "--extract-date",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date that the workbook describes; default: the saved date inside the file.",
)
DECIMAL = click.option(
    "--decimal",
    type=click.Choice(DECIMAL_SIGNS),
    help="Decimal sign of numbers in text cells; default: a point, if unambiguous.",
)
ENCODING = click.option(
    "--encoding",
    help="Encoding of a CSV file, such as shift_jis; default: detected, if unambiguous.",
)


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the settings to a command and translate its errors into messages and exit codes.

    Args:
        function: The command's implementation; its first parameter is the settings.

    Returns:
        The function to register with click. It exits with 1, or with the exit code of a
        `ChurnError`, if the implementation raises.
    """

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> None:
        limit_threads()
        quiet_libraries()
        # Skip garbage collection at exit: after a run the search for reference cycles takes two
        # seconds, and it only frees memory that the operating system reclaims anyway.
        atexit.register(gc.freeze)
        try:
            _call(function, arguments, options)
        except BrokenPipeError as error:
            if not is_reader_gone(error):
                raise
            sys.exit(report_missing_reader())
        finally:
            stop_log()
            reset_options()
            name_commands(CHURN)

    return add_output_options(call)


def _call(function: Callable[..., Any], arguments: Any, options: dict[str, Any]) -> None:
    """Call a command with the settings; exit with the code of its error if it raises one."""
    settings: Settings | None = None
    try:
        settings = read_settings()
        name_commands(command_of(settings))
        configure_log(settings)
        start_log(settings, _name_command())
        for warning in find_unknown_variables():
            print_message(warning)
        protect(settings, print_message)
        function(settings, *arguments, **options)
        report_success()
    except ChurnError as error:
        sys.exit(report_error(error))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(report_interruption())
    except SystemExit as leave:
        report_exit(leave.code if isinstance(leave.code, int) else int(bool(leave.code)))
        raise
    except click.ClickException:
        raise  # click prints it, and how the command is called
    except Exception as error:
        if is_reader_gone(error):
            raise
        known = _explanation(settings, error)
        if known is None:
            sys.exit(report_unexpected(error))
        known.__cause__ = error
        sys.exit(report_error(known))


def _name_command() -> str:
    """Return what was called, such as `churn features verify`, without its arguments."""
    context = click.get_current_context(silent=True)
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.append(context.info_name or "")
        context = context.parent
    return " ".join(["churn", *reversed(names)])


def _explanation(settings: Settings | None, error: Exception) -> ChurnError | None:
    if settings is None:
        return None
    from lakehouse.error_translation import translate

    return translate(settings, error)


def _set_demo(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        context.meta[DEMO] = _enter_demo_home()


def _enter_demo_home() -> set[str]:
    """Make this process, and those that it starts, use the demo's home.

    Returns:
        The variables that were set.
    """
    environ = {}
    try:
        settings = read_settings()
    except ChurnError as error:
        sys.exit(report_error(error))
    if command_of(settings) == CHURN:
        if ignored := format_ignored_settings(settings):
            print_message(ignored)
        environ = demo_environment(settings)
        os.environ.update(environ)
    name_commands(DEMO)
    return set(environ)


@click.group(
    "churn",
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="telco-churn")
@click.option(
    "--demo",
    is_flag=True,
    # A callback: an unknown command is reported before `main` is called.
    callback=_set_demo,
    expose_value=False,
    help="Use the home and ports of `churn demo`; other CHURN_ settings are ignored.",
)
@add_output_options
def main() -> None:
    """Turn a telecom's customer workbook into governed tables, features and a churn model."""


@main.command()
@click.argument("workbook", required=False, type=PATH)
@SHEET
@DATE
@DECIMAL
@ENCODING
@JSON
@add_examples(
    "churn run customers.xlsx", "churn run export.csv --decimal , --extract-date 2026-08-31"
)
@command
def run(
    settings: Settings,
    workbook: Path | None,
    sheet: str | None,
    extract_date: datetime | None,
    decimal: str | None,
    encoding: str | None,
    as_json: bool,
) -> None:
    """Run the whole job on WORKBOOK (.xlsx, .xls or .csv)."""
    if workbook is None:
        raise InvalidInputError(
            "No workbook was given",
            where="churn run",
            hint="name it: `churn run WORKBOOK`; `churn demo` does the whole job on generated "
            "customers",
        )
    require_workbook(workbook)
    from churn.pipeline.context import Request

    source_format = SourceFormat(decimal, encoding)
    _run(settings, Request(workbook, sheet, _day(extract_date), source_format), as_json)


@main.command()
@JSON
@add_examples("churn demo", "churn demo --json")
@add_output_options
def demo(as_json: bool) -> None:
    """Run the whole job on generated customers, in a home of its own, marked SAMPLE everywhere."""
    _enter_demo_home()
    _run_demo(as_json)


@command
def _run_demo(settings: Settings, as_json: bool) -> None:
    from churn.pipeline import run as job
    from churn.pipeline.context import Request
    from lakehouse.sample_home import mark_as_sample

    mark_as_sample(settings)
    _run(settings, Request(job.write_sample_workbook(settings)), as_json)


def _run(settings: Settings, request: "Request", as_json: bool) -> None:
    from churn.pipeline import run as job
    from churn.pipeline.summary import format_summary

    steps = Steps(job.STEPS)
    try:
        summary = job.run(settings, request, steps)
    except GateRefusedError as refusal:
        if as_json and refusal.summary is not None:
            print_json(refusal.summary)
        raise
    if as_json:
        print_json(summary)
    else:
        print_sentences(format_summary(settings, summary))


@main.command()
@click.argument("workbook", type=PATH)
@click.option("--out", type=PATH, help="Folder to create.")
@click.option("--id", "customer_id", help="Column that identifies the customer, or none.")
@click.option("--label", help="Column that states which customers left.")
@click.option("--left", help="Value of the label for a customer who left.")
@click.option("--value", help="Column with the monthly revenue of a customer.")
@click.option("--yes", is_flag=True, help="Do not ask; take the most likely answers.")
@SHEET
@DECIMAL
@ENCODING
@add_examples(
    "churn init customers.xlsx --out domains/mine",
    "churn init customers.xlsx --label Churn --left Yes --id CustomerID --yes",
)
@command
def init(  # long: an option for each answer
    settings: Settings,
    workbook: Path,
    out: Path | None,
    customer_id: str | None,
    label: str | None,
    left: str | None,
    value: str | None,
    yes: bool,
    sheet: str | None,
    decimal: str | None,
    encoding: str | None,
) -> None:
    """Draft a domain folder from WORKBOOK: columns, rules, features, reasons, reports."""
    require_workbook(workbook)
    from churn.operations.domain_init import Answers, draft_domain, format_draft

    def ask(question: str, proposed: str | None) -> str:
        return str(click.prompt(question, default=proposed, err=True))

    is_terminal = sys.stdin.isatty() and not yes
    answers = Answers(customer_id, label, left, value, ask if is_terminal else None)
    folder = out or settings.project / "domains" / workbook.stem.lower().replace(" ", "_")
    draft = draft_domain(
        workbook, folder, sheet, SourceFormat(decimal, encoding), answers, print_message
    )
    print_sentences("\n".join(format_draft(draft, folder, workbook, settings.home)))


@main.group()
def contract() -> None:
    """Exchange the contract of the workbook: a standard file, or an empty workbook to fill in."""


@contract.command("export")
@click.option("--out", type=PATH, required=True, help="YAML file to write.")
@add_examples("churn contract export --out contract-odcs.yml")
@command
def export_odcs(settings: Settings, out: Path) -> None:
    """Write the contract in the Open Data Contract Standard, version 3."""
    require_writable(out, suffix="")
    import yaml

    from lakehouse.domain import read_domain
    from seeds_loader.contract_exchange import export_contract

    exported = export_contract(read_domain())
    out.write_text(yaml.safe_dump(exported, sort_keys=False, allow_unicode=True, width=100))
    print_result(f"{out}: {format_number(len(exported['schema'][0]['properties']), 'column')}")


@contract.command("import")
@click.argument("file", type=PATH)
@click.option(
    "--label",
    help="Property that states which customers left, with two valid values: left, stayed.",
)
@click.option("--out", type=PATH, required=True, help="contract.yml to write.")
@add_examples("churn contract import contract-odcs.yml --out domains/mine/contract.yml")
@command
def import_odcs(settings: Settings, file: Path, label: str | None, out: Path) -> None:
    """Write contract.yml from FILE, a contract in the Open Data Contract Standard."""
    require_file(file, (".yml", ".yaml"))
    require_writable(out, suffix="")
    from seeds_loader.contract_exchange import import_contract, write_contract_file

    entries = import_contract(file, label)
    write_contract_file(entries, out)
    print_result(f"{out}: {format_number(len(entries['columns']), 'column')}")


@contract.command()
@click.option("--out", type=PATH, required=True, help="Workbook to write.")
@add_examples("churn contract template --out empty.xlsx")
@command
def template(settings: Settings, out: Path) -> None:
    """Write an empty workbook with the contract's headers, validation lists and notes."""
    require_writable(out)
    from lakehouse.domain import read_domain
    from seeds_loader.contract_exchange import write_template

    write_template(read_domain(), out)
    print_result(str(out))


@main.command()
@click.option("--foreground", is_flag=True, help="Run in the foreground, for a supervisor.")
@click.option("--stay", "foreground", is_flag=True, hidden=True)  # the former name
@click.option("--readers", is_flag=True, help="Start the readers' server as well.")
@add_examples("churn up", "churn up --readers")
@command
def up(settings: Settings, foreground: bool, readers: bool) -> None:
    """Start the Spark server and the embedded online store."""
    from lakehouse import online_store, spark_server

    log = print_message
    spark_server.ensure_running(settings, log)
    online_store.ensure_running(settings, log)
    if readers:
        from churn.operations.reader_access import start_readers_server

        start_readers_server(settings, log)
    _print_status(settings)
    if foreground:
        spark_server.run_forever(settings, log)


@main.command()
@add_examples("churn down")
@command
def down(settings: Settings) -> None:
    """Stop the Spark server, the embedded online store and Airflow."""
    from churn.operations import airflow_server
    from lakehouse import online_store, spark_process
    from lakehouse.readers import server as readers_server

    for name in airflow_server.down(settings):
        print_result(f"{name}: stopped")
    servers = (
        spark_process.service(settings),
        readers_server.service(settings),
        online_store.service(settings),
    )
    for service in servers:
        if service.name == readers_server.NAME and service.find() is None:
            continue  # most homes never had one
        print_result(f"{service.name}: {'stopped' if service.stop() else 'was not running'}")


@main.command()
@JSON
@add_examples("churn status", "churn status --json")
@command
def status(settings: Settings, as_json: bool) -> None:
    """Show what is in use, how the last run ended, what runs, and what to do next."""
    from churn.operations.status import status as read_status

    if as_json:
        print_json(read_status(settings))
    else:
        _print_status(settings)
    _check_settings(settings)


def _print_status(settings: Settings) -> None:
    from churn.operations.status import status as read_status
    from churn.operations.status_text import format_status

    for line in format_status(read_status(settings)):
        print_sentences(line)


@main.command("sql")
@click.argument("query", metavar="QUERY")
@click.option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV on stdout.")
@click.option("--json", "as_json", is_flag=True, help="Print all rows as a JSON array on stdout.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    help="Rows to print; default: 40 of a table, all of CSV and JSON.",
)
@add_examples(
    'churn sql "select * from gold.scores_current limit 5"',
    'churn sql --csv "show tables in gold"',
)
@command
def run_sql(settings: Settings, query: str, as_csv: bool, as_json: bool, limit: int | None) -> None:
    """Print the rows of a query in Spark's SQL; nothing can be written.

    QUERY is the statement, the path of a .sql file, or - for the standard input.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    from churn.operations import sql_query
    from churn.reports import query_result
    from lakehouse import spark_server, spark_session

    found = sql_query.read_query(query)
    spark_server.ensure_running(settings, print_message)
    is_table = not (as_csv or as_json)
    if limit is None and is_table and found.is_select:
        limit = SQL_ROWS
    with spark_session.session(settings) as spark:
        result = sql_query.run_query(spark, found, limit)
    if as_csv:
        query_result.print_csv(result.rows)
    elif as_json:
        query_result.print_json(result.rows)
    else:
        query_result.print_table(result.rows, get_width(sys.stdout))
    if is_table or result.left_out:
        print_message(sql_query.format_count(result))


@main.command("runs")
@click.option(
    "--limit",
    default=20,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=1),
    help="Number of runs.",
)
@JSON
@add_examples("churn runs", "churn runs --limit 5 --json")
@command
def show_runs(settings: Settings, limit: int, as_json: bool) -> None:
    """List the runs, newest first: when, result, duration, workbook."""
    from churn.operations import runs

    found = runs.list_all_runs(settings)
    shown = found[:limit]
    if as_json:
        print_json(runs.to_json(shown))
        return
    if shown:
        console = make_console(sys.stdout)
        for line in runs.format_runs(shown, get_width(sys.stdout)):
            console.print(line, soft_wrap=True)
    print_message(runs.format_note(settings, len(shown), len(found)))


@main.command("logs")
@click.option("--run", "run_id", metavar="RUN", help="Run to print the log of; default: the last.")
@click.option("--follow", "-f", is_flag=True, help="Print what is added until the run ends.")
@click.option(
    "--spark", "with_spark", is_flag=True, help="Add what the Spark server logged during the run."
)
@click.option("--debug", "with_debug", is_flag=True, help="Include messages of level DEBUG.")
@add_examples(
    "churn logs --run 20261122T224512Z-3f9c1a",
    "churn logs --follow",
)
@command
def show_logs(
    settings: Settings, run_id: str | None, follow: bool, with_spark: bool, with_debug: bool
) -> None:
    """Print the log of a run, with time and level on each line."""
    from churn.operations import log_reader

    if follow and run_id is None:
        record = log_reader.wait_for_log(settings, print_message)
    else:
        record = log_reader.find_log(settings, run_id)
    print_message(f"run {record.run_id}: {record.log}")
    for part in log_reader.read_log(settings, record, follow, with_spark, with_debug):
        print_result(part, nl=False)


@main.command()
@click.argument("workbook", type=PATH)
@SHEET
@DATE
@DECIMAL
@ENCODING
@add_examples("churn ingest customers.xlsx", "churn ingest customers.xlsx --sheet Customers")
@command
def ingest(
    settings: Settings,
    workbook: Path,
    sheet: str | None,
    extract_date: datetime | None,
    decimal: str | None,
    encoding: str | None,
) -> None:
    """Load WORKBOOK into bronze."""
    require_workbook(workbook)
    from churn.pipeline import commands
    from churn.pipeline.context import Request

    source_format = SourceFormat(decimal, encoding)
    request = Request(workbook, sheet, _day(extract_date), source_format)
    loaded = commands.ingest(settings, request, Steps(3))
    rows = format_number(loaded.row_count, "row")
    words = "loaded" if loaded.is_new else "was loaded before:"
    print_sentences(f"{words} {rows} of {loaded.extract_date} as {loaded.batch_id}")


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--rebuild", is_flag=True, help="Evaluate and publish all passed loads again.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@add_examples("churn build", "churn build --select silver")
@command
def build(settings: Settings, rebuild: bool, arguments: tuple[str, ...]) -> None:
    """Run dbt with its gate; ARGUMENTS are passed to `dbt build` unchanged."""
    from churn.pipeline import commands

    outcome = commands.build(settings, arguments, rebuild, Steps(2))
    for line in outcome.warnings:
        print_message(f"warning: {line}")
    print_sentences(outcome.format_tests())


@main.command()
@click.argument("load", metavar="LOAD")
@click.option("--reason", required=True, help="Reason; stored with your user name and the time.")
@add_examples('churn approve 097ecb8db190a9f3 --reason "prices rose in August"')
@command
def approve(settings: Settings, load: str, reason: str) -> None:
    """Publish a refused LOAD whose change is expected, and do the rest of its run."""
    from churn.pipeline import approvals
    from churn.pipeline.summary import format_summary

    approval = approvals.make_approval(reason)
    summary = approvals.approve(settings, load, approval, Steps(approvals.STEPS))
    print_sentences(format_summary(settings, summary))


@main.command()
@click.option(
    "--run", "run_id", metavar="RUN", help="Run with the rejects; default: that of the latest load."
)
@click.option("--out", required=True, type=PATH, help="The .xlsx file to write.")
@add_examples(
    "churn rejects --out rejects.xlsx",
    "churn rejects --run 20261122T224512Z-3f9c1a --out rejects.xlsx",
)
@command
def rejects(settings: Settings, run_id: str | None, out: Path) -> None:
    """Write the rejected rows to a workbook, with the errors of each row."""
    require_writable(out)
    if run_id is not None:
        read_summary(settings, run_id, HINT_LATEST)
    from churn.reports.rejects import write_rejects

    print_sentences(write_rejects(settings, run_id, out, print_message))


@main.group()
def features() -> None:
    """Manage the feature store: apply, materialize, verify, ui."""


@features.command()
@add_examples("churn features apply")
@command
def apply(settings: Settings) -> None:
    """Register entity, view and service with Feast."""
    from feature_repo.online.materialize import apply as apply_declarations

    apply_declarations(settings, print_message)
    print_result("applied: entity, view and service are registered with Feast")


@features.command()
@click.option(
    "--all", "whole", is_flag=True, help="Write all customers, not only the changed ones."
)
@add_examples("churn features materialize", "churn features materialize --all")
@command
def materialize(settings: Settings, whole: bool) -> None:
    """Write the changed customers of the latest published extract to the online store."""
    from churn.pipeline import commands

    online = commands.materialize(settings, whole, Steps(3))
    print_result(f"{format_number(online.customers, 'customer')} online")


@features.command("ui")
@add_examples("churn features ui")
@command
def feast_ui(settings: Settings) -> None:
    """Serve Feast's own site on the feature store, on loopback."""
    from churn.operations.feast_ui import serve_feast_ui

    serve_feast_ui(settings, print_message)


@features.command()
@JSON
@add_examples("churn features verify", "churn features verify --json")
@command
def verify(settings: Settings, as_json: bool) -> None:
    """Read every customer back from the online store and compare every value with gold."""
    from feature_repo.online.verify import verify as verify_online
    from lakehouse import spark_server, spark_session

    spark_server.ensure_running(settings, print_message)
    with Steps(1).step("verify") as step, spark_session.session(settings) as spark:
        verification = verify_online(settings, spark, print_message, step.advance)
        count = len(verification.differences)
        differences = format_number(count, "difference") if count else "no differences"
        step.outcome = f"{format_number(verification.customers, 'customer')}, {differences}"
    if as_json:
        print_json(asdict(verification))
    else:
        print_result(
            f"{format_number(verification.customers, 'customer')}, "
            f"{format_number(verification.features, 'feature')}, "
            f"{differences}"
        )
    for each in verification.differences:
        print_result(f"  {each}", err=True)
    sys.exit(1 if verification.differences else 0)


@main.command()
@add_examples("churn train")
@command
def train(settings: Settings) -> None:
    """Train on the published extracts; promote the new model only if it is better."""
    from churn.pipeline import commands

    training = commands.train(settings, Steps(3))
    print_sentences(f"{training.record.version}: {training.format_outcome()}")
    print_sentences(training.decision.reason)


@main.command()
@click.argument("version", required=False)
@add_examples("churn rollback", "churn rollback 20250203-1a2b3c4d")
@command
def rollback(settings: Settings, version: str | None) -> None:
    """Make the previous champion, or VERSION, champion again; withdraw the replaced version."""
    _require_version(settings, version)
    from churn.pipeline import commands

    print_result(f"{commands.roll_back(settings, version, Steps(4))} is the champion")


@main.command()
@click.argument("version")
@click.option("--reason", required=True, help="Reason; stored with your user name and the time.")
@click.option("--decline", is_flag=True, help="Keep the champion; VERSION no longer waits.")
@add_examples(
    'churn promote 20250203-1a2b3c4d --reason "finds more of the customers who leave"',
    'churn promote 20250203-1a2b3c4d --decline --reason "worse for new customers"',
)
@command
def promote(settings: Settings, version: str, reason: str, decline: bool) -> None:
    """Make VERSION the champion by a person's decision."""
    _require_version(settings, version)
    from churn.pipeline import commands

    if decline:
        commands.decline(settings, version, reason, Steps(1))
        print_result(f"{version} is declined; the champion stays")
        return
    promoted = commands.promote(settings, version, reason, Steps(4))
    print_result(f"{promoted} is the champion")


@main.command()
@click.option("--force", is_flag=True, help="Evaluate again, on the data published now.")
@click.option("--again", "force", is_flag=True, hidden=True)  # the former name
@JSON
@add_examples("churn evaluate", "churn evaluate --force")
@command
def evaluate(settings: Settings, force: bool, as_json: bool) -> None:
    """Evaluate the champion in full, once per version: intervals, slices, costs; write a page."""
    from churn.pipeline.evaluation_report import evaluate_champion, format_evaluation

    figures = evaluate_champion(settings, Steps(3), force)
    if as_json:
        print_json(figures)
    else:
        print_sentences("\n".join(format_evaluation(figures)))


@main.command()
@click.argument("version", required=False)
@click.option("--out", required=True, type=PATH, help="The .zip file to write.")
@add_examples(
    "churn evidence --out evidence.zip",
    "churn evidence 20250203-1a2b3c4d --out evidence.zip",
)
@command
def evidence(settings: Settings, version: str | None, out: Path) -> None:
    """Write the evidence of VERSION (default: the champion): card, figures, limits, approvals."""
    require_writable(out, ".zip")
    _require_version(settings, version)
    from churn.reports.evidence import write_evidence

    print_sentences(write_evidence(settings, version, out))


@main.command()
@click.argument("customer_id", metavar="ID")
@click.option("--out", required=True, type=PATH, help="The .html file to write.")
@add_examples("churn letter 7590-VHVEG --out letter.html")
@command
def letter(settings: Settings, customer_id: str, out: Path) -> None:
    """Write a letter that explains a customer's score in plain language."""
    _require_id(customer_id)
    require_writable(out, ".html")
    from churn.reports.letter import write_letter

    print_sentences(write_letter(settings, customer_id, out, print_message))


@main.command()
@click.argument("file", required=False, type=PATH)
@SHEET
@DECIMAL
@ENCODING
@click.option("--out", type=PATH, help="The .xlsx file to write; only with FILE.")
@JSON
@add_examples("churn score", "churn score prospects.xlsx --out scores.xlsx")
@command
def score(
    settings: Settings,
    file: Path | None,
    sheet: str | None,
    decimal: str | None,
    encoding: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Score the latest published extract, or the customers of FILE, with the champion.

    FILE (.xlsx, .xls or .csv) does not need the label column. Its rows pass the same rules as those
    of a workbook and get the same features, scores and reasons. Nothing is published.
    """
    if file is not None:
        require_workbook(file)
        if out is not None:
            require_writable(out)
        from churn.pipeline import score_file as files

        submitted = files.Request(file, sheet, SourceFormat(decimal, encoding))
        result = files.score_file(settings, submitted, out, Steps(files.STEPS - (out is None)))
        if as_json:
            print_json(result.to_json())
        else:
            print_sentences("\n".join(files.format_scored_file(result, out)))
        return
    options = {"sheet": sheet, "decimal": decimal, "encoding": encoding, "out": out}
    if given := [f"--{name}" for name, value in {**options, "json": as_json}.items() if value]:
        raise InvalidInputError(
            f"{', '.join(given)} can't be used without a file to score",
            where="churn score",
            hint="name the file: `churn score FILE`; `churn score` alone scores the latest "
            "published extract",
        )
    from churn.pipeline import commands

    scores = commands.score(settings, Steps(2))
    print_result(f"{format_number(scores.customers, 'customer')} scored")


@main.command("monitor")
@JSON
@add_examples("churn monitor", "churn monitor --json")
@command
def monitor_champion(settings: Settings, as_json: bool) -> None:
    """Monitor the champion on the latest extract: drift, and predicted against actual churn."""
    from churn.pipeline.champion_monitoring import check_champion, format_check

    found = check_champion(settings, print_message)
    if as_json:
        print_json(found)
    else:
        print_sentences("\n".join(format_check(found)))


@main.command("retention-list")
@click.option(
    "--top",
    "most",
    default=100,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="Number of customers.",
)
@click.option("--out", required=True, type=PATH, help="The .xlsx file to write.")
@add_examples("churn retention-list --top 50 --out list.xlsx")
@command
def retention_list(settings: Settings, most: int, out: Path) -> None:
    """Write the customers most worth contacting to a workbook, with reasons and offers."""
    require_writable(out)
    from churn.reports.retention_list import write_retention_list

    print_sentences(write_retention_list(settings, most, out, print_message))


@main.group()
def campaign() -> None:
    """Run retention campaigns with a control group: start, record, close, list."""


CAMPAIGN = click.argument("name", metavar="NAME")


@campaign.command("start")
@CAMPAIGN
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    help="Number of calls; default: 100.",
)
@click.option(
    "--budget",
    metavar="AMOUNT",
    type=click.FloatRange(0, min_open=True),
    help="Cost of all calls instead.",
)
@click.option(
    "--control",
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    type=click.FloatRange(1, 90),
    help="Share of the customers who are not called, to compare with.",
)
@click.option("--out", required=True, type=PATH, help="The .xlsx file to write.")
@add_examples(
    "churn campaign start spring --top 300 --out spring.xlsx",
    "churn campaign start spring --budget 5000 --control 20 --out spring.xlsx",
)
@command
def campaign_start(
    settings: Settings,
    name: str,
    top: int | None,
    budget: float | None,
    control: float,
    out: Path,
) -> None:
    """Draw a control group, and write the list to call, with columns for the outcome."""
    if top is not None and budget is not None:
        raise InvalidInputError(
            "--top and --budget exclude each other: both say how many calls are made",
            where="churn campaign start",
            hint="give one of them; without both, 100 calls are made",
        )
    from churn.pipeline import campaigns

    asked = top if top is not None or budget is not None else 100
    request = campaigns.Request(name, asked, budget, control / 100)
    print_sentences(campaigns.start(settings, request, out, Steps(2)).format())


@campaign.command("record")
@CAMPAIGN
@click.argument("file", type=PATH)
@add_examples("churn campaign record spring spring.xlsx")
@command
def campaign_record(settings: Settings, name: str, file: Path) -> None:
    """Record the outcomes that the team has entered into a campaign's list."""
    require_workbook(file)
    from churn.pipeline import campaigns

    print_sentences(campaigns.record(settings, name, file, Steps(2)))


@campaign.command("close")
@CAMPAIGN
@add_examples("churn campaign close spring")
@command
def campaign_close(settings: Settings, name: str) -> None:
    """Measure a campaign's effect by who is missing or has left in the next published extract."""
    from churn.pipeline import campaigns

    print_sentences("\n".join(campaigns.close(settings, name, Steps(2))))


@campaign.command("list")
@add_examples("churn campaign list")
@command
def campaign_list(settings: Settings) -> None:
    """List the campaigns, running and closed, with their effect."""
    from churn.pipeline import campaigns
    from churn.provenance.campaign_records import list_campaigns
    from lakehouse import spark_server, spark_session

    spark_server.ensure_running(settings, print_message)
    with spark_session.session(settings) as spark:
        rows = list_campaigns(spark)
    for row in rows:
        print_sentences(campaigns.format_campaign(row))
    if not rows:
        print_result(
            "no campaign exists yet: `churn campaign start NAME --out FILE.xlsx` starts one",
            err=True,
        )


@main.command()
@click.argument("customer_id", metavar="ID")
@JSON
@add_examples("churn show 7590-VHVEG", "churn show 7590-VHVEG --json")
@command
def show(settings: Settings, customer_id: str, as_json: bool) -> None:
    """Show a customer's features in the online store, and the score."""
    _require_id(customer_id)
    from churn.provenance.customer import format_customer, show_customer

    customer = show_customer(settings, customer_id, print_message)
    if as_json:
        print_json(customer)
    else:
        print_sentences("\n".join(format_customer(customer)))


@main.command()
@click.argument("customer_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--run", "run_id", metavar="RUN", help="Show the state at the end of that run.")
@JSON
@add_examples(
    "churn trace 7590-VHVEG",
    "churn trace 7590-VHVEG 5575-GNVDE --run 20261122T224512Z-3f9c1a",
)
@command
def trace(
    settings: Settings, customer_ids: tuple[str, ...], run_id: str | None, as_json: bool
) -> None:
    """Trace a customer's numbers from the workbook row to the score.

    With --json, one ID prints one object and several print a list.
    """
    for customer_id in customer_ids:
        _require_id(customer_id)
    if run_id is not None:
        read_summary(settings, run_id, HINT_NOW)
    from churn.provenance.trace import trace_customers
    from churn.provenance.trace_text import format_trace

    lineages = trace_customers(settings, customer_ids, print_message, run_id)
    if as_json:
        print_json(lineages[0] if len(customer_ids) == 1 else lineages)
    else:
        print_result("\n\n".join("\n".join(format_trace(each)) for each in lineages))


@main.command("history")
@click.argument("table")
@JSON
@add_examples("churn history gold.churn_scores", "churn history champion")
@command
def show_history(settings: Settings, table: str, as_json: bool) -> None:
    """List the writes to TABLE (such as gold.churn_scores), with time, user and run.

    With `champion` as TABLE, list which model became champion when, why and by which user.
    """
    from churn.provenance.history import format_history, history

    found = history(settings, table, print_message)
    if as_json:
        print_json(found)
    else:
        print_sentences("\n".join(format_history(found)))


@main.command("diff")
@click.argument("first", metavar="RUN1")
@click.argument("second", metavar="RUN2")
@JSON
@add_examples("churn diff 20250101T060000Z-aaaaaa 20250201T060000Z-bbbbbb")
@command
def diff_runs(settings: Settings, first: str, second: str, as_json: bool) -> None:
    """Compare RUN2 with RUN1: rows, features, verdicts, metrics."""
    for run_id in (first, second):
        read_summary(settings, run_id)
    from churn.provenance.diff import diff, format_diff

    found = diff(settings, first, second, print_message)
    if as_json:
        print_json(found)
    else:
        print_sentences("\n".join(format_diff(found)))


@main.command("reproduce")
@click.argument("run_id", metavar="RUN")
@JSON
@add_examples("churn reproduce 20261122T224512Z-3f9c1a")
@command
def reproduce_run(settings: Settings, run_id: str, as_json: bool) -> None:
    """Rebuild gold and the model of a past RUN from bronze in a separate lake, and compare.

    The exit code is 0 if both are identical, otherwise 1. Customers who were erased since are
    reported, and are not a difference.
    """
    read_summary(settings, run_id)
    from churn.provenance import reproduce as rebuilding

    found = rebuilding.reproduce(settings, run_id, Steps(rebuilding.STEPS))
    if as_json:
        print_json(found)
    else:
        print_sentences("\n".join(rebuilding.format_reproduction(found)))
    sys.exit(0 if found["identical"] or rebuilding.is_gap_of_erasure(found) else 1)


@main.command()
@add_examples("churn serve")
@command
def serve(settings: Settings) -> None:
    """Serve the scoring API on loopback, port CHURN_API_PORT (8000), until interrupted."""
    from serving.server import serve as serve_api

    serve_api(settings, print_message)


@main.command("mlflow")
@add_examples("churn mlflow")
@command
def serve_mlflow(settings: Settings) -> None:
    """Serve MLflow's site on the models, on loopback, until interrupted."""
    from churn.operations.mlflow_server import serve_mlflow

    serve_mlflow(settings, print_message)


@main.group("api-key")
def api_key() -> None:
    """Manage the scoring API's keys: new, list, revoke."""


@api_key.command("new")
@click.argument("name")
@add_examples("churn api-key new retention-team")
@command
def api_key_new(settings: Settings, name: str) -> None:
    """Create a key for NAME and print it once; only its hash is stored."""
    from serving import keys

    print_result(keys.new(settings, name))


@api_key.command("list")
@add_examples("churn api-key list")
@command
def api_key_list(settings: Settings) -> None:
    """Print the names of all key holders."""
    from serving import keys

    names = keys.names(settings)
    for name in names:
        print_result(name)
    if not names:
        print_result("no key exists yet: `churn api-key new NAME` creates one", err=True)


@api_key.command("revoke")
@click.argument("name")
@add_examples("churn api-key revoke retention-team")
@command
def api_key_revoke(settings: Settings, name: str) -> None:
    """Revoke the key of NAME at once."""
    from serving import keys

    keys.revoke(settings, name)
    print_result(f"revoked the key of {name}")


@main.group()
def user() -> None:
    """Manage users who may only read: add, list, remove."""


@user.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["reader"]), required=True, help="What the user may do: read."
)
@add_examples("churn user add analyst --role reader")
@command
def user_add(settings: Settings, name: str, role: str) -> None:
    """Add the user NAME and print the key once: password and token; only its hash is stored."""
    from lakehouse.readers import users

    print_result(users.add(settings, name))
    print_message(
        "`churn up --readers` starts the server for readers; docs/readers.md says how to connect"
    )


@user.command("list")
@add_examples("churn user list")
@command
def user_list(settings: Settings) -> None:
    """Print the names and roles of all users."""
    from lakehouse.readers import users

    names = users.names(settings)
    for name in names:
        print_result(f"{name}: {users.ROLE}")
    if not names:
        print_result("no user exists yet: `churn user add NAME --role reader` adds one", err=True)


@user.command("remove")
@click.argument("name")
@add_examples("churn user remove analyst")
@command
def user_remove(settings: Settings, name: str) -> None:
    """Remove the user NAME, who can't log in from then on."""
    from lakehouse.readers import users

    users.remove(settings, name)
    print_result(f"removed {name}")


@main.command()
@click.option("--no-serve", is_flag=True, help="Build the site without serving it.")
@add_examples("churn docs", "churn docs --no-serve")
@command
def docs(settings: Settings, no_serve: bool) -> None:
    """Build the site (front page, dbt docs, reports) and serve it, with traces, on loopback.

    The port is CHURN_DOCS_PORT, 8081 by default.
    """
    from churn.operations.site_server import serve_site
    from churn.reports.site import build_site

    folder = build_site(settings, print_message)
    print_result(f"the site is in {folder}")
    if not no_serve:
        serve_site(settings, folder, print_message)


@main.command()
@click.argument("target")
@add_examples("churn backup /backups", "churn backup s3a://backups/churn")
@command
def backup(settings: Settings, target: str) -> None:
    """Copy lake, models, runs and the metastore's contents to a new folder below TARGET.

    TARGET is a folder or s3a://bucket/prefix.
    """
    from churn.operations import backup as backups
    from lakehouse.progress import format_bytes

    address, seal = backups.backup(settings, target, Steps(backups.STEPS))
    print_sentences(
        f"{address}: {format_number(len(seal.rows), 'table')}, "
        f"{format_number(sum(seal.rows.values()), 'row')}, "
        f"{format_number(seal.files, 'file')}, {format_bytes(seal.bytes)}"
    )


@main.command()
@click.argument("source", metavar="BACKUP")
@click.option(
    "--require-signature",
    is_flag=True,
    help="Exit with 2 unless BACKUP is signed with the key of this CHURN_HOME.",
)
@add_examples(
    "churn restore /backups/20260101T030000Z",
    "churn restore s3a://backups/churn/20260101T030000Z --require-signature",
)
@command
def restore(settings: Settings, source: str, require_signature: bool) -> None:
    """Restore BACKUP to an empty lake and CHURN_HOME.

    The lake may be at another location than before.
    """
    require_backup_folder(source)
    from churn.operations import restore as restores

    steps = Steps(restores.STEPS)
    restored = restores.restore(settings, source, steps, require_signature)
    print_sentences(restores.format_result(settings, restored))


@main.command("cleanup")
@click.option(
    "--days",
    default=90,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=1),
    help="Minimum age in days; the tables' history is kept for at least 7 days.",
)
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@add_examples("churn cleanup --dry-run", "churn cleanup --days 30")
@command
def clean_up(settings: Settings, days: int, dry_run: bool) -> None:
    """Remove old data that nothing refers to: superseded table files, logs, runs, models.

    Bronze is never removed.
    """
    from churn.operations import cleanup

    removed = cleanup.clean_up(settings, days, dry_run, Steps(cleanup.STEPS))
    for line in cleanup.format_removed(removed, dry_run):
        print_sentences(line)


@main.command()
@click.argument("customer_ids", nargs=-1, metavar="[ID]...")
@click.option("--dry-run", is_flag=True, help="List what would be erased, and erase nothing.")
@click.option("--proof", type=PATH, help="Write a record that names no customer.")
@add_examples(
    "churn forget 7590-VHVEG --dry-run",
    "churn forget 7590-VHVEG 5575-GNVDE --proof erasure.json",
)
@command
def forget(
    settings: Settings, customer_ids: tuple[str, ...], dry_run: bool, proof: Path | None
) -> None:
    """Erase customers everywhere, and leave them out of all later loads.

    With `-` as ID, ids are read from standard input, one per line. Without one, an interrupted
    call is completed.
    """
    if proof is not None:
        require_writable(proof, suffix="")
    from churn.operations import forget as erasing

    ids = sys.stdin.read().splitlines() if customer_ids == ("-",) else customer_ids
    steps = Steps(1 if dry_run else erasing.STEPS)
    call = erasing.find_subjects if dry_run else erasing.forget
    forgotten = call(settings, ids, steps)
    if proof is not None and not dry_run:
        erasing.write_proof(forgotten, proof)
    for line in erasing.format_forgotten(forgotten, dry_run):
        print_sentences(line)


@main.command()
@click.argument("customer_id", metavar="ID")
@click.option("--out", type=PATH, help="The .zip file to write.")
@click.option(
    "--objects", is_flag=True, help="Record that the customer objects: leave out of all lists."
)
@add_examples("churn person 7590-VHVEG --out customer.zip", "churn person 7590-VHVEG --objects")
@command
def person(settings: Settings, customer_id: str, out: Path | None, objects: bool) -> None:
    """Export everything that is stored about a customer, or record an objection to being listed."""
    if out is None and not objects:
        raise InvalidInputError(
            "Neither --out nor --objects was given, so that there is nothing to do",
            where="churn person",
            hint="give --out FILE.zip, --objects, or both",
        )
    if out is not None:
        require_writable(out, suffix="")
    from churn.operations import person as exporting

    if objects:
        exporting.record_objection(settings, customer_id)
        print_result("the customer is left out of retention lists and campaigns from now on")
    if out is not None:
        steps = Steps(exporting.STEPS)
        print_sentences(exporting.export_person(settings, customer_id, out, steps))


@main.group()
def airflow() -> None:
    """Run Airflow on this machine, with the DAG `01_etl`: up, down, password."""


@airflow.command("up")
@add_examples("churn airflow up")
@command
def airflow_up(settings: Settings) -> None:
    """Start Airflow on loopback; its DAGs are paused until you switch them on."""
    from churn.operations import airflow_server

    address = airflow_server.up(settings, print_message)
    print_result(f"Airflow answers at {address}, user {airflow_server.USER}")
    print_result("`churn airflow password` prints its password")


@airflow.command("down")
@add_examples("churn airflow down")
@command
def airflow_down(settings: Settings) -> None:
    """Stop Airflow and its running tasks."""
    from churn.operations import airflow_server

    ended = airflow_server.down(settings)
    print_result(f"stopped: {', '.join(ended)}" if ended else "Airflow was not running")


@airflow.command("password")
@add_examples("churn airflow password")
@command
def airflow_password(settings: Settings) -> None:
    """Print the password of Airflow's user `admin`."""
    from churn.operations import airflow_server

    print_result(airflow_server.password(settings))


@airflow.command("init", hidden=True)  # for a supervisor
@add_examples("churn airflow init")
@command
def airflow_init(settings: Settings) -> None:
    """Prepare what Airflow's components need, once before they start."""
    from churn.operations import airflow_server

    airflow_server.initialize(settings, print_message)


@airflow.command("run-component", hidden=True)  # for a supervisor
@click.argument("component")
@add_examples("churn airflow run-component scheduler")
@command
def airflow_run_component(settings: Settings, component: str) -> None:
    """Run the api-server, scheduler, dag-processor or triggerer in the foreground."""
    from churn.operations import airflow_server

    airflow_server.run_component(settings, component)


@airflow.command("healthcheck", hidden=True)  # for a supervisor
@click.argument("component")
@add_examples("churn airflow healthcheck scheduler")
@command
def airflow_healthcheck(settings: Settings, component: str) -> None:
    """Exit with 0 if that component is healthy."""
    from churn.operations import airflow_server

    airflow_server.check_health(settings, component)


@main.command()
@click.option(
    "--rows",
    default=7043,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=1),
    help="Number of customers per workbook.",
)
@click.option(
    "--months",
    default=1,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=1),
    help="Number of workbooks, one per month.",
)
@click.option("--seed", default=42, show_default=True, metavar="N", help="Same seed, same bytes.")
@click.option(
    "--start",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First extract date.",
)
@click.option("--dirt", is_flag=True, help="Add the errors that real workbooks have.")
@click.option("--out", required=True, type=PATH, help="Folder to write to.")
@add_examples("churn sample --out samples", "churn sample --months 3 --dirt --out samples")
@command
def sample(
    settings: Settings,
    rows: int,
    months: int,
    seed: int,
    start: datetime | None,
    dirt: bool,
    out: Path,
) -> None:
    """Generate realistic workbooks, one per month."""
    from seeds_loader.sample import SampleParameters, write_samples

    first = start.date() if start else SampleParameters.start
    parameters = SampleParameters(rows=rows, months=months, seed=seed, start=first, dirt=dirt)
    for path in write_samples(parameters, out, progress=print_message):
        print_result(path)


@main.command()
@JSON
@add_examples("churn config", "churn config --json")
@command
def config(settings: Settings, as_json: bool) -> None:
    """Print the settings, with secrets masked, and where each was set."""
    demo = click.get_current_context().meta.get(DEMO, ())
    masked, origins = settings.mask_secrets(), find_origins(demo=demo)
    if as_json:
        print_json({**masked, "origins": origins})
    else:
        print_result(f"# folder of .env and of relative paths: {masked.pop('project')}")
        for name, value in masked.items():
            line = f"{name}={'' if value is None else value}"
            print_result(format_setting(line, origins[name], get_width(sys.stdout)))
    _check_settings(settings)


def _check_settings(settings: Settings) -> None:
    """Raise the error of a setting that only later commands would use."""
    from lakehouse import online_store
    from lakehouse.domain import read_domain

    read_domain()
    online_store.find(settings)


for _group, _name, _former in (
    (main, "monitor", "watch"),
    (main, "retention-list", "list"),
    (main, "cleanup", "tidy"),
    (airflow, "init", "prepare"),
    (airflow, "run-component", "part"),
    (airflow, "healthcheck", "check"),
):
    add_hidden_alias(_group, _name, _former)


def _require_id(customer_id: str) -> None:
    if not customer_id.strip():
        raise InvalidInputError(
            "The customer's id is blank",
            where="ID",
            hint="name an id as the workbook has it; is a variable of the shell not set?",
        )


def _require_version(settings: Settings, version: str | None) -> None:
    """Check that a model exists, if one is named."""
    if version is not None:
        from trainer import registry

        registry.require_version(settings, version)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


if __name__ == "__main__":
    main()
