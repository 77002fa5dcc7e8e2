"""Values that only the composition root can reach, handed over as callables and asked when somebody scrapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import TypeAlias

from monitoring.catalogue import BY_NAME, Metric
from mutable_core.errors import UnknownName

Samples: TypeAlias = Mapping[tuple[str, ...], float]
"""Label values, in the catalogue's order, → value. An unlabelled metric has the one key `()`."""

Reading: TypeAlias = Callable[[], "float | Samples | None"]
"""Called from the server's thread: it must not wait, and must not change anything. None: not known now."""

SERIES_MAX = 100
"""Of one reading. More is a label that should not be one."""


class Readings:
    """Callables by the name of the metric that they answer for."""

    def __init__(self) -> None:
        self._by_name: dict[str, Reading] = {}

    def give(self, name: str, reading: Reading) -> None:
        """From now on `reading` answers for `name`; a later one replaces it.

        Raises:
            UnknownName: the catalogue has no such reading.
        """
        metric = BY_NAME.get(name)
        if metric is None or metric.source != "reading":
            raise UnknownName(f"no metric `{name}` takes a reading", to_do="add it to `monitoring/catalogue.py`")
        self._by_name[name] = reading

    def take(self, metric: Metric) -> Samples | None:
        """Its samples now, none where it is not known; None where the reading failed."""
        reading = self._by_name.get(metric.name)
        if reading is None:
            return {}
        try:
            return _checked(metric, reading())
        except Exception:  # noqa: BLE001  # whatever one reading does, the other metrics are still told
            return None


def _checked(metric: Metric, value: float | Samples | None) -> Samples | None:
    if value is None:
        return {}
    samples: dict[tuple[str, ...], float] = dict(value) if isinstance(value, Mapping) else {(): float(value)}
    if len(samples) > SERIES_MAX:
        return None
    fits = all(len(labels) == len(metric.labels) and isfinite(sample) for labels, sample in samples.items())
    return samples if fits else None
