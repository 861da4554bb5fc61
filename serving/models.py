"""Provide the model in use: the champion, once the published extract was scored with it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.settings import Settings
from serving import errors
from serving.champion_alias import ChampionAlias
from serving.file_marks import Mark, mark
from serving.remaining_time import RemainingTime
from trainer import deciles, hazard_model, registry
from trainer.deciles import Deciles
from trainer.reason_texts import Reason, read_reasons
from trainer.retention_campaign import read_campaign
from trainer.scorer import Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A model version with the bounds of its deciles and its hazard model, all of one version."""

    scorer: Scorer
    deciles: Deciles
    time: RemainingTime

    @property
    def version(self) -> str:
        """Return the model's version."""
        return self.scorer.version


class Models:
    """The model in use; each call checks five files, some microseconds, and reads them if changed.

    One of them is MLflow's, in which the alias may have been moved. If they are damaged, incomplete
    or of a model not yet used to score, the previous model stays in use.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the declared reasons; the first call reads the model."""
        self._settings = settings
        self._declared: Sequence[Reason] = read_reasons()
        self._campaign = read_campaign()
        self._named = ""
        self._seen: tuple[Mark, ...] = ()
        self._model: Model | None = None
        self.alias = ChampionAlias(settings)

    def current(self) -> Model | None:
        """Return the model in use, or None before the first one; a request calls this once."""
        self.alias.check_file()
        if self._marks() != self._seen:
            self._reload()
        return self._model

    def champion_or_error(self) -> Model:
        """Return the model in use.

        Raises:
            serving.errors.ProblemError: There is none.
        """
        model = self.current()
        if model is None:
            raise errors.no_model()
        return model

    def _marks(self) -> tuple[Mark, ...]:
        folder = registry.folder(self._settings)
        files = (folder / registry.CHAMPION, *self._files(folder / self._named))
        return tuple(mark(each) for each in files)

    def _files(self, version: Path) -> tuple[Path, ...]:
        return version / registry.RECORD, version / deciles.FILE, version / hazard_model.FILE

    def _reload(self) -> None:
        """Read the champion; the next call detects a change that happens while it is read."""
        try:
            self._named = registry.champion_version(self._settings) or ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the champion's name can't be read: %s", error)
        self._seen = self._marks()
        if not self._named:
            return
        model = self._read(self._named)
        if model is not None:
            if self._model is None or model.version != self._model.version:
                log.info("model %s is at work", model.version)
            self._model = model

    def _read(self, version: str) -> Model | None:
        folder = registry.folder(self._settings) / version
        record = registry.read_record(self._settings, version)
        bounds = deciles.read(folder)
        if record is None or bounds is None:
            lacks = "its record is damaged" if record is None else "it was not scored with yet"
            log.warning("model %s is not taken up: %s", version, lacks)
            return None
        try:
            hazard = hazard_model.read(folder, [*record.features, *record.derived])
            time = RemainingTime(hazard, record, self._declared, self._campaign)
            return Model(Scorer(record, self._declared), bounds, time)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            log.warning("model %s is not taken up: %r", version, error)
            return None
