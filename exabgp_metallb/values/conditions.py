"""Conditions on objects (meta/v1 Condition), without the times that only the API needs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; its type is known from where it stands."""

    holds: bool  # status is True
    reason: str  # one word: a Reason, or the word for "as it should be"
    message: str
