"""Feast's own site on the feature store: entity, view, service, and what hangs on what."""

import warnings

from feature_repo.store import store
from lakehouse.errors import Unavailable
from lakehouse.service import Say, answers_on
from lakehouse.settings import LOOPBACK, Settings


def serve(settings: Settings, say: Say) -> None:
    """Serve the site on loopback until interrupted.

    Raises:
        Unavailable: the port is taken.
    """
    port = settings.feast_ui_port
    if answers_on(port):
        raise Unavailable(
            f"Port {port} for Feast's site is taken",
            where=f"{LOOPBACK}:{port}",
            remedy="set CHURN_FEAST_UI_PORT to a free port",
        )
    feature_store = store(settings, say)
    say(f"Feast's site is at http://{LOOPBACK}:{port} (Ctrl-C ends)")
    with warnings.catch_warnings():
        # That it is experimental is Feast's word to those who build upon it.
        warnings.simplefilter("ignore")
        feature_store.serve_ui(LOOPBACK, port)
