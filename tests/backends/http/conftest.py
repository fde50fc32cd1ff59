"""Pauses between attempts, as a test needs them."""

from __future__ import annotations

import pytest

from dp_backends.http import _retry


@pytest.fixture(name="_long_pauses")
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause longer than any deadline here."""
    monkeypatch.setattr(_retry, "uniform", lambda low, high: 60)


@pytest.fixture(name="_no_pauses")
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every pause as short as it can be."""
    monkeypatch.setattr(_retry, "uniform", lambda low, high: low)
