"""Write the list of customers to call as a workbook to filter, print and work through.

The summary has what to do and the totals, the sheet Notes what the numbers mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.comments import Comment
from openpyxl.formatting.rule import ColorScaleRule, DataBarRule
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from churn.provenance.retention_lists import (
    COST,
    CUSTOMER,
    GAIN,
    OFFER,
    PROBABILITY,
    RANK,
    REASONS,
    SHEET,
    format_headline,
)
from churn.reports.rejects_workbook import is_formula_like, make_storable
from feature_repo.label_texts import format_event
from lakehouse.amounts import format_number
from lakehouse.command_name import format_commands
from lakehouse.domain import ListColumn, Offer, read_domain
from lakehouse.sample_home import TITLE as SAMPLE
from trainer.retention_campaign import Campaign, Effect

HEADER = PatternFill("solid", fgColor="FF1F3A5F")
FACE = "Calibri"
WHITE = Font(name=FACE, bold=True, color="FFFFFFFF")
BOLD = Font(name=FACE, bold=True)
LINK = Font(name=FACE, underline="single", color="FF0563C1")
HAIR = Border(bottom=Side("hair", color="FF9AA5B1"))
MONEY, WHOLE, SHARE = "#,##0.00", "#,##0", "0.0%"
# What an offer is, in the table of the offers.
TERMS = ("Who can get it", "What it is", "Costs of each")
# What is recorded of a customer of a campaign, with the width of its column.
ANSWERS = ("Called", "Reached", "Accepted")
WITH_OFFER = "Probability with the offer"
WITH_OFFER_NOTE = "what the model says of customers who already have it; not a measured effect"
# What the reasons of a customer are.
DISTINGUISHING = (
    "what raises this customer's risk most above the average of all customers worth calling; what "
    "nearly all listed customers have in common comes last"
)
# The column of a list without a campaign.
DONE = "Done"
NOTE, NOTE_WIDTH = "Note", 30
OUTCOME = {**dict.fromkeys(ANSWERS, 10), NOTE: NOTE_WIDTH}
YES, NO = "yes", "no"
# Without `left` the indent has no effect, and a number touches the adjacent text.
WRAPPED = Alignment(horizontal="left", vertical="top", wrap_text=True, indent=1)
TOP = Alignment(vertical="top")
RIGHT = Alignment(horizontal="right", vertical="top")
# Number of characters per line of a note, and height of a line in points.
NOTE_LINE, LINE_HEIGHT = 105, 15
SUMMARY_WIDTHS, NOTES = (36, 9, 13, 15, 26, 32, 24), "Notes"
# Of the summary's columns, those with texts; the others have numbers.
TEXTS = (1, 5, 6, 7)
FACTORS = {0.5: "half", 1.5: "one and a half times"}


@dataclass(frozen=True)
class ListedCustomer:
    """Customer of the list; `reasons` as text, the most distinguishing first.

    Attributes:
        customer_id: The id.
        probability: Probability of leaving.
        revenue: What a leaver takes along; 1 if the domain declares no value.
        offer: The offer with the highest expected gain; None if the domain declares no offers.
        cost: Cost of the call and the offer.
        probability_with_offer: What the model says of the customer with the offer.
        gain: Expected gain of the call.
        gain_low: The gain with the lowest plausible effect of a campaign.
        gain_high: The gain with the highest.
        reasons: What raises this customer's risk most above the average of the customers worth
            calling, at most three; what nearly all listed have comes last. Sensitive reasons are
            left out.
        details: Values of the list's columns.
    """

    customer_id: str
    probability: float
    revenue: float
    offer: str | None
    cost: float
    probability_with_offer: float | None
    gain: float
    gain_low: float
    gain_high: float
    reasons: Sequence[str]
    details: Sequence[Any]

    @property
    def retention(self) -> float:
        """Return the probability that the customer would leave, and stays because of the call."""
        return (self.gain + self.cost) / self.revenue

    def is_limited_by_model(self, effect: Effect) -> bool:
        """Return whether the model attributes less to the offer than campaigns achieve."""
        if self.probability_with_offer is None:
            return False
        return self.probability - self.probability_with_offer < self.probability * effect.value


@dataclass(frozen=True)
class RetentionList:
    """Customers, the highest expected gain first, and the list's sources.

    Attributes:
        extract_date: Date of the extract.
        customers: Number of its customers.
        model: Version of the model.
        kind: Its type.
        campaign: Costs, offers and effect.
        columns: What the list shows of a customer.
        listed: The customers.
        name: Name of the campaign, whose list has columns for the outcome.
        is_sample: Whether the customers are generated.
        common_reasons: The reasons that most of the listed have, with the customers' number.
        period: When a customer may leave, for the probability; empty if that is not known.
        model_limit: What the model can't say yet, as a sentence; empty if there is no limit.
        paying: Number of customers for whom a call would pay, listed or not; None if the domain
            declares no value.
        is_out_of_fold: Whether the probabilities are by models that did not learn from the
            customer's row; otherwise they are those of the model in use, which did not either.
    """

    extract_date: date
    customers: int
    model: str
    kind: str
    campaign: Campaign
    columns: Sequence[ListColumn]
    listed: Sequence[ListedCustomer]
    name: str = ""
    is_sample: bool = False
    common_reasons: Sequence[tuple[str, int]] = ()
    period: str = ""
    model_limit: str = ""
    paying: int | None = None
    is_out_of_fold: bool = True

    @property
    def headline(self) -> str:
        """Return the number of calls and their expected gain, with its range."""
        return format_headline(self.summary, self.is_sample)

    @property
    def event(self) -> str:
        """Return what the probability is that of, with its period if the model knows one."""
        return format_event(self.model_limit, self.period)

    @property
    def leaving(self) -> float:
        """Return how many of the listed are expected to leave without a call."""
        return sum(each.probability for each in self.listed)

    @property
    def staying(self) -> float:
        """Return how many of them are expected to stay because of the call."""
        return sum(each.retention for each in self.listed)

    @property
    def summary(self) -> dict[str, Any]:
        """Return the list in numbers, for the run's summary.json; amounts if the domain has them.

        The amounts are sums over the calls, in the domain's currency: expected gain after costs,
        with its range, and cost. `basis` says what the gain consists of, `effect` what it assumes.
        """
        found: dict[str, Any] = {
            "listed": len(self.listed),
            "extract_date": self.extract_date.isoformat(),
            "model": self.model,
        }
        if self.campaign.revenue:
            for name in ("gain", "gain_low", "gain_high", "cost"):
                found[name] = round(sum(getattr(each, name) for each in self.listed), 2)
            found["currency"] = self.campaign.currency
            found["basis"] = format_gain(self.campaign)
            found["effect"] = format_effect(self)
        return found


@dataclass(frozen=True)
class Column:
    """Column of the sheet: header, width, number format, and a function for its values."""

    header: str
    width: float
    number_format: str | None
    value: Any


def write_retention_workbook(retention_list: RetentionList, path: Path) -> None:
    """Write a summary, the list, and notes that explain both."""
    workbook = Workbook()
    summary, sheet = workbook.active, workbook.create_sheet(SHEET)
    notes = workbook.create_sheet(NOTES)
    assert isinstance(summary, Worksheet)
    summary.title = "Summary"
    _write_summary(summary, retention_list)
    _write_texts(notes, 1, list(_explain_numbers(retention_list)), 1)
    _set_widths(notes, (26, sum(SUMMARY_WIDTHS[1:])))
    columns = _columns(retention_list)
    _write_rows(sheet, columns, retention_list.listed)
    _make_readable(sheet, columns, len(retention_list.listed))
    _add_answer_lists(sheet, columns, len(retention_list.listed))
    for each in (summary, sheet, notes):
        _make_printable(each, retention_list)
    sheet.print_title_rows = "1:1"
    name = f"{retention_list.name}: " if retention_list.name else ""
    workbook.properties.title = f"{name}{_describe_title(retention_list)}"
    # A document of the company: no person is its author.
    workbook.properties.creator = read_domain().name
    workbook.save(path)


def read_first_customer(path: Path) -> str | None:
    """Return the customer to call first, or None if there is no such list or it is empty."""
    if not path.is_file():
        return None
    rows = load_workbook(path, read_only=True)[SHEET].iter_rows(max_row=2, values_only=True)
    header, first = next(rows), next(rows, None)
    return str(first[header.index(CUSTOMER)]) if first else None


def _columns(retention_list: RetentionList) -> list[Column]:
    def reason(index: int) -> Any:
        return lambda _, customer: (
            customer.reasons[index] if index < len(customer.reasons) else None
        )

    def detail(index: int) -> Any:
        return lambda _, customer: customer.details[index]

    campaign = retention_list.campaign
    money = _money(campaign)
    formats = {"text": None, "whole": WHOLE, "amount": money}
    outcome = OUTCOME.items() if retention_list.name else [(DONE, 8), (NOTE, NOTE_WIDTH)]
    return [
        Column(RANK, 6, WHOLE, lambda rank, _: rank),
        Column(CUSTOMER, 15, None, lambda _, listed: listed.customer_id),
        *_create_offer_columns(campaign),
        *_create_value_columns(campaign, money),
        Column(PROBABILITY, 12, SHARE, lambda _, listed: listed.probability),
        *_create_effect_columns(campaign),
        *(Column(header, 22, None, reason(index)) for index, header in enumerate(REASONS)),
        *(
            Column(shown.header, shown.width, formats[shown.format], detail(index))
            for index, shown in enumerate(retention_list.columns)
        ),
        *(Column(header, width, None, lambda *_: None) for header, width in outcome),
    ]


def _create_offer_columns(campaign: Campaign) -> list[Column]:
    if not campaign.offers:
        return []
    longest = max(map(len, campaign.offers))
    return [
        Column(
            OFFER,
            min(max(longest + 4, 12), 40),
            None,
            lambda _, listed: capitalise(listed.offer or ""),
        )
    ]


def _create_value_columns(campaign: Campaign, money: str) -> list[Column]:
    if not campaign.revenue:
        return []
    return [
        Column(COST, 11, money, lambda _, listed: listed.cost),
        Column(GAIN, 12, money, lambda _, listed: listed.gain),
        Column(_revenue_header(campaign), 12, money, lambda _, listed: listed.revenue),
    ]


def _create_effect_columns(campaign: Campaign) -> list[Column]:
    if not campaign.offers:
        return []
    return [Column(WITH_OFFER, 12, SHARE, lambda _, row: row.probability_with_offer)]


def capitalise(text: str) -> str:
    """Return the text with its first letter in upper case, and no other changed."""
    return text[:1].upper() + text[1:]


def _money(campaign: Campaign, number_format: str = MONEY) -> str:
    """Return Excel's format of an amount, with the currency in front."""
    return f'"{campaign.currency}"{number_format}' if campaign.currency else number_format


def format_cost(customer: ListedCustomer, campaign: Campaign) -> str:
    """Return what a customer's cost consists of: the call, and the offer if there is one."""
    call = f"call {campaign.format_price(campaign.contact_cost)}"
    if customer.offer is None:
        return call
    return f"{call}, offer {campaign.format_price(customer.cost - campaign.contact_cost)}"


def _write_rows(
    sheet: Worksheet, columns: Sequence[Column], listed: Sequence[ListedCustomer]
) -> None:
    for number, column in enumerate(columns, 1):
        cell = sheet.cell(1, number, column.header)
        cell.fill, cell.font = HEADER, WHITE
        cell.alignment = Alignment(vertical="center", horizontal="center", wrap_text=True)
        if column.header == WITH_OFFER:
            cell.comment = Comment(f"{capitalise(WITH_OFFER_NOTE)}.", "churn")
    for rank, customer in enumerate(listed, 1):
        for number, column in enumerate(columns, 1):
            cell = sheet.cell(rank + 1, number)
            set_value(cell, column.value(rank, customer))
            cell.border = HAIR
            cell.alignment = TOP if column.number_format else WRAPPED
            if column.number_format:
                cell.number_format = column.number_format


def set_value(cell: Any, value: Any) -> None:
    """Set a cell's value; a text is written as a text, regardless of its beginning."""
    if isinstance(value, str):
        cell.value = make_storable(value)
        cell.data_type = "s"
        cell.quotePrefix = is_formula_like(value)
    else:
        cell.value = value


def _make_readable(sheet: Worksheet, columns: Sequence[Column], rows: int) -> None:
    sheet.freeze_panes = "C2"
    sheet.row_dimensions[1].height = 64
    sheet.sheet_view.zoomScale = 90
    for number, column in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = column.width
    last = max(rows + 1, 2)
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{last}"
    headers = [column.header for column in columns]
    for header, rule in (
        (
            PROBABILITY,
            ColorScaleRule("num", 0, "FFFFFFFF", "num", 0.5, "FFFFE3B8", "num", 1, "FFF4A08A"),
        ),
        (GAIN, DataBarRule("num", 0, "max", None, "FF86C9A5")),
    ):
        if header not in headers:
            continue
        letter = get_column_letter(headers.index(header) + 1)
        sheet.conditional_formatting.add(f"{letter}2:{letter}{last}", rule)


def _add_answer_lists(sheet: Worksheet, columns: Sequence[Column], rows: int) -> None:
    """Let Excel offer yes and no in the columns of the outcome, and refuse other values."""
    headers = [column.header for column in columns]
    validation = DataValidation(type="list", formula1=f'"{YES},{NO}"', allow_blank=True)
    validation.showErrorMessage = True
    validation.error, validation.errorTitle = f"Choose {YES} or {NO}", "Yes or no"
    for header in (*ANSWERS, DONE):
        if header in headers:
            letter = get_column_letter(headers.index(header) + 1)
            validation.add(f"{letter}2:{letter}{max(rows + 1, 2)}")
    sheet.add_data_validation(validation)


def _describe_title(retention_list: RetentionList) -> str:
    return f"Whom to call, extract of {retention_list.extract_date}"


def _make_printable(sheet: Worksheet, retention_list: RetentionList) -> None:
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = sheet.PAPERSIZE_A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_margins.left = sheet.page_margins.right = 0.4
    sheet.oddHeader.left.text = _describe_title(retention_list)
    sheet.oddHeader.right.text = f"model {retention_list.model}"
    if retention_list.is_sample:
        sheet.oddHeader.center.text = SAMPLE
    sheet.oddFooter.center.text = "Page &P of &N"


def _write_summary(sheet: Worksheet, retention_list: RetentionList) -> None:
    title = f"{retention_list.name}: " if retention_list.name else ""
    sheet["A1"], sheet["A1"].font = (
        f"{title}{retention_list.headline}",
        Font(name=FACE, bold=True, size=20),
    )
    sheet["A2"] = "Open the list of customers: call from the top"
    sheet["A2"].hyperlink, sheet["A2"].font = f"#{SHEET}!A1", LINK
    row, table = 4, count_offers(retention_list)
    for title, counted in table:
        for column, value in enumerate((title, *counted), 1):
            cell = sheet.cell(row, column)
            set_value(cell, value)
            if row == 4:
                cell.fill, cell.font = HEADER, WHITE
            elif row == 3 + len(table):
                cell.font = BOLD
            cell.alignment = WRAPPED if column in TEXTS else RIGHT
            if isinstance(value, float):  # a total, rounded to whole amounts
                cell.number_format = _money(retention_list.campaign, WHOLE)
        lines = max(
            -(-len(str(value or "")) // (width - 3))
            for value, width in zip((title, *counted), SUMMARY_WIDTHS, strict=False)
        )
        sheet.row_dimensions[row].height = LINE_HEIGHT * lines + 3
        row += 1
    tasks = list(_list_tasks(retention_list))
    row = _write_texts(sheet, row + 1, tasks, len(SUMMARY_WIDTHS) - 1)
    sheet.cell(row, 1, "What the numbers mean").hyperlink = f"#{NOTES}!A1"
    sheet.cell(row, 1).font, sheet.cell(row, 1).alignment = LINK, WRAPPED
    _set_widths(sheet, SUMMARY_WIDTHS)


def _write_texts(sheet: Worksheet, row: int, texts: Sequence[tuple[str, str]], columns: int) -> int:
    """Write names and texts, one pair per row, each text over so many columns.

    Returns:
        The row below.
    """
    for name, text in ((name, format_commands(text)) for name, text in texts):
        sheet.cell(row, 1, name).font = BOLD
        sheet.cell(row, 1).alignment = WRAPPED
        sheet.merge_cells(start_row=row, end_row=row, start_column=2, end_column=1 + columns)
        set_value(sheet.cell(row, 2), text)
        sheet.cell(row, 2).alignment = WRAPPED
        # Set the height, because only Excel itself fits a row to its text.
        lines = -(-max(len(text), 1) // NOTE_LINE)
        sheet.row_dimensions[row].height = LINE_HEIGHT * lines + 3
        row += 1
    return row


def _set_widths(sheet: Worksheet, widths: Sequence[float]) -> None:
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width


def _list_tasks(retention_list: RetentionList) -> Iterator[tuple[str, str]]:
    """Yield what to do with the list, and what to know before."""
    has_offers = bool(retention_list.campaign.offers)
    outcome = (
        f"{YES} or {NO} in Called, Reached and Accepted"
        if retention_list.name
        else f"{YES} in {DONE} after the call, or {NO} if you skip the customer"
    )
    yield (
        "What to do",
        f"call from the top of the sheet {SHEET}"
        + (", make each customer the offer of the row" * has_offers)
        + f", and enter {outcome}",
    )
    if retention_list.paying is not None:
        yield "Listed", format_paying(retention_list)
    if retention_list.campaign.revenue:
        assumed = f". The effect of a call is an assumption, see {NOTES}"
        yield (
            GAIN,
            capitalise(format_gain(retention_list.campaign))
            + assumed * retention_list.campaign.effect.is_assumed,
        )
    yield "Reasons", capitalise(DISTINGUISHING)
    yield (
        "Extract",
        f"{retention_list.extract_date}, {retention_list.customers:,} customers; use the list "
        "until the next extract",
    )
    if retention_list.model_limit:
        yield "Model", retention_list.model_limit
    yield "After the calls", format_after_calls(retention_list)


def format_after_calls(retention_list: RetentionList) -> str:
    """Return what to do after the calls; only a campaign's outcomes are read back."""
    if retention_list.name:
        return (
            "give this workbook to the data team (`churn campaign record`): Called, Reached and "
            "Accepted are read back. The next extract shows who left, and the control group, which "
            "is not on the list, whether calling helped"
        )
    return (
        f"the next extract shows who left; the columns {DONE} and {NOTE} are for your own use and "
        "are not read back. To learn whether calling helps, ask the data team for a campaign's "
        "list instead (`churn campaign start`), which keeps a control group"
    )


def format_paying(retention_list: RetentionList) -> str:
    """Return how many calls are expected to pay, and how many of them are listed."""
    listed, paying = len(retention_list.listed), retention_list.paying or 0
    if listed == paying:
        return f"all calls that are expected to pay are listed: {listed:,}"
    return (
        f"{paying:,} calls are expected to pay; the {listed:,} with the highest expected gain "
        f"{'is' if listed == 1 else 'are'} listed"
    )


def count_offers(retention_list: RetentionList) -> list[tuple[str, Sequence[Any]]]:
    """Return a table of the offers on the list: calls, costs, gain, for whom, what, its price.

    The last row has the totals, which are exact. Without offers, it is the only one.
    """
    campaign = retention_list.campaign
    if not campaign.offers and not campaign.revenue:
        return []
    rows: list[tuple[str, Sequence[Any]]] = []
    for name, offer in campaign.offers.items():
        listed = [each for each in retention_list.listed if each.offer == name]
        if not listed:
            continue
        amounts = (sum(each.cost for each in listed), sum(each.gain for each in listed))
        values = map(float, amounts) if campaign.revenue else (None, None)
        prices = [each.cost - campaign.contact_cost for each in listed if campaign.revenue]
        terms = (
            capitalise(offer.eligibility),
            capitalise(offer.costs_in_words) or None,
            f"call {campaign.format_price(campaign.contact_cost)}, "
            f"offer {_describe_price(offer, campaign, prices)}",
        )
        rows.append((capitalise(name), (len(listed), *values, *terms)))
    rows.sort(key=lambda row: -row[1][0])
    everyone = retention_list.listed
    totals = [float(sum(getattr(each, key) for each in everyone)) for key in ("cost", "gain")]
    total = (len(everyone), *(totals if campaign.revenue else (None, None)))
    titles = ("Calls", COST, GAIN)
    if not campaign.offers:
        return [("", titles), ("Total", total)]
    return [(OFFER, (*titles, *TERMS)), *rows, ("Total", (*total, *[None] * len(TERMS)))]


def _describe_price(offer: Offer, campaign: Campaign, prices: Sequence[float] = ()) -> str:
    """Return what an offer costs: of these customers with its range, otherwise as declared."""
    if prices:
        ends = [campaign.format_price(price) for price in (min(prices), max(prices))]
        return ends[0] if ends[0] == ends[1] else " to ".join(ends)
    try:
        return campaign.format_price(float(offer.costs))
    except ValueError:
        return offer.costs_in_words or offer.costs


def explain_columns(retention_list: RetentionList) -> Iterator[tuple[str, str]]:
    """Yield what the numbers and reasons of a customer mean, a sentence each, for a page."""
    campaign = retention_list.campaign
    if campaign.revenue:
        yield GAIN, "what the call brings on average, after the costs of the call and the offer"
    yield PROBABILITY, retention_list.event
    if campaign.offers:
        yield "With the offer", WITH_OFFER_NOTE
    yield "Reasons", DISTINGUISHING
    if retention_list.model_limit:
        yield "Model", retention_list.model_limit


def _explain_numbers(  # long: the notes, one after another
    retention_list: RetentionList,
) -> list[tuple[str, str]]:
    """Return the explanation of each number, by its name."""
    campaign = retention_list.campaign
    paying = f"; {format_paying(retention_list)}" if retention_list.paying is not None else ""
    limit = f". {retention_list.model_limit}" if retention_list.model_limit else ""
    return [
        ("Model", f"{retention_list.model}, {retention_list.kind.replace('_', ' ')}"),
        (
            "Listed",
            "customers who have not left and for whom an offer pays, by expected gain and not by "
            f"risk{paying}"
            if campaign.revenue
            else "customers who have not left, by probability of leaving",
        ),
        (
            PROBABILITY,
            f"{retention_list.event}; {_describe_origin(retention_list)}{limit.rstrip('.')}",
        ),
        (
            "Effect of a call",
            capitalise(format_effect(retention_list)),
        ),
        *(_describe_value(campaign) if campaign.revenue else ()),
        *(_describe_offers(retention_list) if campaign.offers else ()),
        (
            "Reasons",
            f"{DISTINGUISHING}. They explain the estimate, and need not be why a customer leaves. "
            "Left out: reasons about the person (such as age)",
        ),
        *(
            [("In common", format_common_reasons(retention_list))]
            if retention_list.common_reasons
            else []
        ),
        ("Costs and offers", "from the settings that your data team keeps"),
    ]


def _describe_origin(retention_list: RetentionList) -> str:
    """Return which model the probabilities are by, without its end."""
    if retention_list.is_out_of_fold:
        return (
            "by a model that did not learn from this customer's row. `churn show` and `churn "
            "trace` have it beside that of the model in use, which did learn from it"
        )
    return (
        "by the model in use, which learned from earlier extracts and not from this one; `churn "
        "show` and `churn trace` have the same"
    )


def format_gain(campaign: Campaign) -> str:
    """Return what the expected gain consists of, as a sentence without its end."""
    months = (
        "the months that customers who are kept are expected to stay"
        if campaign.expected_months
        else f"{format_number(campaign.months, 'month')} of the customers who are kept"
    )
    return (
        f"the expected gain is the bills of {months}, as if they would otherwise leave now, less "
        f"the costs of calls{' and offers' * bool(campaign.offers)}; no margin is taken off"
    )


def format_effect(retention_list: RetentionList) -> str:
    """Return how many of the listed the calls are expected to keep, by which effect, and the range.

    With offers, the effect of a campaign is the most: what the model expects of a customer's offer
    may be less. The range is no interval of confidence.
    """
    effect = retention_list.campaign.effect
    kept, leaving = (_format_people(n) for n in (retention_list.staying, retention_list.leaving))
    low, high = (_format_factor(end / effect.value) for end in (effect.low, effect.high))
    return (
        f"we expect about {kept} of the {leaving} who would leave to stay. "
        f"{_format_rates(retention_list)}. The range is for {low} or {high} as "
        "many who stay, at the same costs"
    )


def _format_rates(retention_list: RetentionList) -> str:
    """Return which share of the risk a call removes, and for how many the model says less."""
    effect, listed = retention_list.campaign.effect, len(retention_list.listed)
    limited = sum(each.is_limited_by_model(effect) for each in retention_list.listed)
    most = "at most " * bool(limited)
    rate = f"A call removes {most}{effect.value:.0%} of the risk of leaving ({effect.source})"
    if not limited:
        return rate
    whom = "all listed" if limited == listed else f"{limited:,} of the {listed:,} listed"
    return f"{rate}. For {whom}, the model expects less of the offer, and the list counts that"


def _format_people(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _format_factor(factor: float) -> str:
    rounded = round(factor, 2)
    return FACTORS.get(rounded, f"{rounded:g} times")


def format_common_reasons(retention_list: RetentionList) -> str:
    """Return what most of the listed customers have in common, with their numbers."""
    whole = len(retention_list.listed)
    return "; ".join(f"{text} ({n:,} of {whole:,})" for text, n in retention_list.common_reasons)


def _revenue_header(campaign: Campaign) -> str:
    if campaign.expected_months:
        return "Expected revenue"
    return (
        "Yearly revenue"
        if campaign.months == 12
        else f"Revenue of {format_number(campaign.months, 'month')}"
    )


def _describe_value(campaign: Campaign) -> list[tuple[str, str]]:
    header = _revenue_header(campaign)
    contact = campaign.format_price(campaign.contact_cost)
    return [
        (
            header,
            "what the customer pays in the months that a customer who is kept is expected to stay, "
            f"at most {campaign.most_months}"
            if campaign.expected_months
            else f"what the customer pays in {format_number(campaign.months, 'month')}",
        ),
        (COST, f"{contact} for the call, and the full cost of the offer, as if everyone accepted"),
        (
            GAIN,
            f"{header.lower()} × the probability that the customer would leave and stays because "
            "of the offer − cost; that probability is the smaller of probability of leaving × "
            "effect of a call, and of what the model attributes to the offer",
        ),
    ]


def _describe_offers(retention_list: RetentionList) -> list[tuple[str, str]]:
    campaign, made = retention_list.campaign, {each.offer for each in retention_list.listed}
    others = [
        f"{capitalise(name)} (to {offer.eligibility}: "
        f"{offer.costs_in_words or _describe_price(offer, campaign)})"
        for name, offer in campaign.offers.items()
        if name not in made
    ]
    return [
        (
            "Probability with the offer",
            "what the model would say of the customer with the offer; customers who took it up by "
            "themselves were the model's only example",
        ),
        *(
            [
                (
                    "Other offers",
                    f"for no customer listed the one that gains most: {'; '.join(others)}",
                )
            ]
            if others
            else []
        ),
    ]
