"""The time of this machine."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time now as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)
