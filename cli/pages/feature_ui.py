"""Feast's own site on the feature store: entity, view, service, and what hangs on what."""

import warnings

from feature_repo.store import store
from lakehouse.service import Say, check_port_free
from lakehouse.settings import LOOPBACK, Settings


def serve(settings: Settings, say: Say) -> None:
    """Serve the site on loopback until interrupted.

    Raises:
        lakehouse.errors.Unavailable: the port is taken.
    """
    port = settings.feast_ui_port
    check_port_free(port, "Feast's site", "CHURN_FEAST_UI_PORT")
    feature_store = store(settings, say)
    say(f"Feast's site is at http://{LOOPBACK}:{port} (Ctrl-C ends)")
    with warnings.catch_warnings():
        # That it is experimental is Feast's word to those who build upon it.
        warnings.simplefilter("ignore")
        feature_store.serve_ui(LOOPBACK, port)
