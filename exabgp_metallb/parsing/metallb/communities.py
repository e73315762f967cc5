"""Community (metallb.io/v1beta1): aliases, and the values that they and advertisements name."""

import re

from exabgp_metallb.parsing.fields import Fields
from exabgp_metallb.parsing.metadata import created
from exabgp_metallb.values.intent import Community, LargeCommunity
from exabgp_metallb.values.specs import CommunitySpec

_ADVICE = "write 65000:100, large:65000:1:2 or the name of an alias"
_NUMBER = re.compile(r"[0-9]{1,10}")


def community_spec(root: Fields) -> CommunitySpec:
    """Read a Community: a list of aliases, each once."""
    aliases: dict[str, Community | LargeCommunity] = {}
    for fields in root.child("spec").children("communities"):
        fields.require("name", "value")
        name = fields.parsed("name", _alias)
        value = fields.parsed("value", community)
        if name is None or value is None:
            continue
        if name in aliases:
            fields.refuse("name", "another alias has that name: choose one for each")
        aliases[name] = value
    return CommunitySpec(
        root.report.ref.name, created(root.child("metadata")), tuple(aliases.items())
    )


def _alias(text: str) -> str:
    if ":" in text:
        raise ValueError("write an alias without ':', which marks a number")
    return text


def community_or_alias(text: str) -> Community | LargeCommunity | str:
    """Return an entry of an advertisement: with a colon a number, else an alias by its name."""
    return community(text) if ":" in text else text


def community(text: str) -> Community | LargeCommunity:
    """Return the community that `u16:u16` or `large:u32:u32:u32` stands for."""
    kind, *parts = text.split(":")
    if kind == "large":
        return LargeCommunity(*_numbers(parts, count=3, bits=32))
    if not _NUMBER.fullmatch(kind) and len(parts) > 1:
        raise ValueError(f"extended and other communities are not supported: {_ADVICE}")
    return Community(*_numbers([kind, *parts], count=2, bits=16))


def _numbers(parts: list[str], *, count: int, bits: int) -> list[int]:
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError(_ADVICE)
    numbers = [int(part) for part in parts]
    if max(numbers) >= 2**bits:
        raise ValueError(f"each number is at most {2**bits - 1}: {_ADVICE}")
    return numbers
