"""Define request errors in one JSON format, that of RFC 9457: what, where, what to do."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import HTTPException
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from lakehouse.amounts import format_number
from lakehouse.command_name import format_commands
from lakehouse.near_matches import format_suggestion

MEDIA_TYPE = "application/problem+json"
KIND = "urn:churn:problem:"
# What is wrong with a value, by pydantic's type of the error.
MISMATCHES = {
    "missing": "A required part of the request is missing",
    "extra_forbidden": "The endpoint has no field of this name",
    "dict_type": "The body is not a JSON object",
    "list_type": "The value is not a list",
    "string_type": "The value is not a text",
    "string_unicode": "The text is not valid Unicode",
    "string_too_short": "The text is shorter than {min_length} characters",
    "string_too_long": "The text is longer than {max_length} characters",
    "too_short": "The list is empty",
    "too_long": "The list has more than {max_length} items",
    "literal_error": "The value must be one of {expected}",
    "float_type": "The value is not a number",
    "finite_number": "The number is not finite",
    "greater_than_equal": "The number is below {ge:g}",
    "less_than_equal": "The number is above {le:g}",
}
SEE_DOCS = "GET /docs shows what there is, and how to ask"


class ProblemDetails(TypedDict):
    """What went wrong, where, and what to do about it."""

    type: Annotated[str, Field(description="A name of the error that stays the same")]
    title: Annotated[str, Field(description="What is wrong")]
    status: Annotated[int, Field(description="The HTTP status")]
    where: Annotated[str, Field(description="The part of the request or of the service")]
    what_to_do: Annotated[str, Field(description="What to do about it")]


class ProblemError(HTTPException):
    """A request that can't be answered; `kind` stays the same if messages change.

    It is an HTTPException because FastAPI treats any other one as an error of the body that it
    reads.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        what: str,
        *,
        where: str,
        hint: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Create the error from its parts; `kind` is appended to `KIND` to form the type."""
        super().__init__(status, what, dict(headers or {}))
        self.details = ProblemDetails(
            type=KIND + kind,
            title=what,
            status=status,
            where=where,
            what_to_do=format_commands(hint),
        )

    def response(self) -> Response:
        """Return the HTTP response to send."""
        return Response(
            msgspec.json.encode(self.details),
            self.status_code,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def no_key() -> ProblemError:
    """Return the error for a missing or unknown key, without revealing which of the two."""
    return ProblemError(
        401,
        "no-key",
        "The request has no valid API key",
        where="header X-API-Key",
        hint="send a key that `churn api-key new NAME` made",
        headers={"WWW-Authenticate": 'ApiKey header="X-API-Key"'},
    )


def too_many(seconds: int) -> ProblemError:
    """Return the error for a key that has used up its rate limit."""
    return ProblemError(
        429,
        "too-many-requests",
        "This key has asked for more customers than it may",
        where="header X-API-Key",
        hint=f"wait {seconds} s, then go on more slowly; CHURN_API_RATE is the limit",
        headers={"Retry-After": str(seconds)},
    )


def too_many_connections(limit: int) -> ProblemError:
    """Return the error for a client address that has reached its limit of open connections."""
    return ProblemError(
        429,
        "too-many-connections",
        f"This address has {limit} connections open, which is the maximum",
        where="the connection",
        hint="close those that are idle, use them again; CHURN_API_CONNECTIONS is the limit",
        headers={"Retry-After": "1"},
    )


def too_big(limit: int) -> ProblemError:
    """Return the error for a body with more bytes than any request needs."""
    return ProblemError(
        413,
        "body-too-big",
        f"The body is larger than {limit:,} bytes",
        where="body",
        hint="send at most 1,000 customers per request",
        # The rest of the body is not read.
        headers={"Connection": "close"},
    )


def too_slow(seconds: float) -> ProblemError:
    """Return the error for a body that did not arrive in time."""
    return ProblemError(
        408,
        "body-too-slow",
        f"The body did not arrive within {seconds:.0f} s",
        where="body",
        hint="send the request again, all of it",
        headers={"Connection": "close"},
    )


def bad_body() -> ProblemError:
    """Return the error for a body that is not JSON."""
    return ProblemError(
        400,
        "bad-body",
        "The body can't be read as JSON",
        where="body",
        hint="send valid JSON in UTF-8",
    )


def no_json_type() -> ProblemError:
    """Return the error for a body that its Content-Type does not declare as JSON."""
    return ProblemError(
        415,
        "no-json-type",
        "The request does not declare its body as JSON",
        where="header Content-Type",
        hint="send the header `Content-Type: application/json`",
    )


def unfit_request(what: str, where: str, to_do: str = "correct it") -> ProblemError:
    """Return the error for a request that differs from the API's description, `what` and `where`.

    The value that was sent is not repeated; `to_do` is what to do about it.
    """
    return ProblemError(
        422,
        "unfit-request",
        what,
        where=where,
        hint=f"{to_do}; GET /docs shows what fits",
    )


def describe_mismatch(error: Mapping[str, Any], fields: Iterable[str] = ()) -> ProblemError:
    """Return pydantic's first mismatch with the API's description as a sentence of this API.

    Args:
        error: The mismatch.
        fields: The fields of the endpoint's body, one of which an unknown one may resemble.
    """
    part, *names = error["loc"]
    place = [f"item {each + 1}" if isinstance(each, int) else str(each) for each in names]
    where = f"{part}: {', '.join(place)}"[:200] if place else f"the {part}"
    what = MISMATCHES.get(error["type"], "The value does not fit")
    is_unknown = error["type"] == "extra_forbidden" and bool(names)
    to_do = "add it" if error["type"] == "missing" else "correct it"
    if is_unknown:
        to_do = f"{format_suggestion(str(names[-1]), fields)}correct it or leave it out"
    return unfit_request(what.format_map(error.get("ctx", {})), where, to_do)


def no_route() -> ProblemError:
    """Return the error for a path that is no endpoint's."""
    return ProblemError(
        404, "no-route", "There is nothing at this path", where="path", hint=SEE_DOCS
    )


def no_method(headers: Mapping[str, str] | None) -> ProblemError:
    """Return the error for a method that the endpoint lacks; `headers` name its methods."""
    return ProblemError(
        405,
        "no-method",
        "This endpoint does not accept this method",
        where="method",
        hint="send a method that the header Allow names; GET /docs shows all endpoints",
        headers=headers,
    )


def refuse_request(status: int, headers: Mapping[str, str] | None) -> ProblemError:
    """Return the framework's own error of any other status in this format."""
    return ProblemError(
        status,
        "refused",
        "The service refused the request",
        where="request",
        hint=SEE_DOCS,
        headers=headers,
    )


def unknown_customer(customer_id: str) -> ProblemError:
    """Return the error for a customer id that is not online."""
    return ProblemError(
        404,
        "unknown-customer",
        f"There is no customer {customer_id!r} in the latest published extract",
        where="path: customer_id",
        hint="check the id, as the workbook writes it; `churn trace ID` says whether its row "
        "was rejected",
    )


def expired_customer(customer_id: str, extract_date: str, days: int) -> ProblemError:
    """Return the error for a customer whose features are too old to score."""
    return ProblemError(
        404,
        "expired-customer",
        f"What is known of customer {customer_id!r} is of {extract_date}, over "
        f"{format_number(days, 'day')} ago",
        where="path: customer_id",
        hint="publish a newer extract: `churn run WORKBOOK`",
    )


def no_model() -> ProblemError:
    """Return the error for a missing model: none was both trained and used to score."""
    return _unavailable(
        "no-model",
        "No model is at work yet",
        "the champion under CHURN_HOME/models",
        "`churn train`, then `churn score`; the API takes the model up by itself",
    )


def store_down(why: str) -> ProblemError:
    """Return the error for an online store that does not respond."""
    return _unavailable(
        "online-store-down",
        f"The online store does not answer: {why}",
        "the online store",
        "try again soon; if you operate the service, start the Redis server (`churn up`), or "
        "correct CHURN_REDIS_URL",
    )


def empty_store() -> ProblemError:
    """Return the error for an online store that responds and is empty."""
    return _unavailable(
        "online-store-empty",
        "The online store holds no customers",
        "the online store",
        "`churn features materialize` brings the latest extract online",
    )


def features_missing(names: str) -> ProblemError:
    """Return the error for features online that are not those that the model was trained on."""
    return _unavailable(
        "features-missing",
        f"The online store lacks features of the model, or holds what can't be read: {names}",
        "the online store",
        "`churn features materialize`, or `churn train` for a model of the features that there are",
    )


def _unavailable(kind: str, what: str, where: str, hint: str) -> ProblemError:
    headers = {"Retry-After": "1"}
    return ProblemError(503, kind, what, where=where, hint=hint, headers=headers)
