"""Pure estimates over what is known at a bar. Each looks back only: nothing after a bar changes a feature at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from agents.joey.features.average_true_range import average_true_range
from agents.joey.features.average_volume import average_volume
from agents.joey.features.donchian_channel import donchian_channel
from agents.joey.features.log_returns import log_returns
from agents.joey.features.realised_volatility import realised_volatility
from agents.joey.features.simple_moving_average import simple_moving_average
from agents.joey.features.z_score import Spread, z_score

Feature: TypeAlias = Callable[..., object]

FEATURES: tuple[Feature, ...] = (
    average_true_range,
    average_volume,
    donchian_channel,
    log_returns,
    realised_volatility,
    simple_moving_average,
    z_score,
)
"""The register: one file of the same name for each."""

__all__ = [
    "FEATURES",
    "Feature",
    "Spread",
    "average_true_range",
    "average_volume",
    "donchian_channel",
    "log_returns",
    "realised_volatility",
    "simple_moving_average",
    "z_score",
]
