"""The RO-Crate validator without a network: the terms come from the package `rocrate`."""

import io
from importlib.resources import files
from pathlib import Path

from requests import Request, Response
from requests_cache import CachedSession
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
JSON_LD = {"Content-Type": "application/ld+json"}


def find_issues(archive: Path, cache: Path) -> dict[str, list[str]]:
    """The issues of an archive by severity: what it must and what it should have."""
    _store_context(cache)
    settings = ValidationSettings(
        rocrate_uri=str(archive),
        profile_identifier="ro-crate-1.1",
        requirement_severity=Severity.RECOMMENDED,
        offline=True,
        cache_path=cache,
    )
    found: dict[str, list[str]] = {"REQUIRED": [], "RECOMMENDED": []}
    for issue in validate(settings).get_issues():
        found[issue.severity.name].append(str(issue.message))
    return found


def _store_context(cache: Path) -> None:
    """Put the terms where the validator looks before it asks the network."""
    content = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    response = Response()
    response.status_code, response.url = 200, CONTEXT
    response.request = Request("GET", CONTEXT).prepare()
    response.headers.update(JSON_LD)
    response.raw = HTTPResponse(
        io.BytesIO(content), status=200, preload_content=False, headers=JSON_LD
    )
    with CachedSession(cache_name=str(cache)) as session:
        session.cache.save_response(response)
