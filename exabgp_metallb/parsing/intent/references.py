"""What resources name and what is behind the names: Secrets, BFDProfiles, aliases of communities.

What is missing may come later, so the object that names it waits: it has a fault, and its last
complete version stands if there was one, with the password or the numbers of then; else it is left
out. It is back as soon as the other appears. No message holds a password.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from exabgp_metallb.parsing.fields import shown
from exabgp_metallb.parsing.intent.nearest import Nearest
from exabgp_metallb.parsing.intent.resources import Complete, Specs
from exabgp_metallb.parsing.scalars import MAX_PASSWORD
from exabgp_metallb.values.faults import Fault
from exabgp_metallb.values.intent import (
    Community,
    LargeCommunity,
    Password,
    Peer,
)
from exabgp_metallb.values.objects import ObjectName
from exabgp_metallb.values.specs import BgpAdvertisementSpec, CommunitySpec, PeerSpec

S = TypeVar("S")
T = TypeVar("T")

BASIC_AUTH = "kubernetes.io/basic-auth"
"""The type of the Secrets that MetalLB takes passwords from (core/v1 SecretType)."""


class Aliases:
    """The names that Community resources give to communities.

    An alias belongs to the oldest resource that defines it; a younger one that defines it too is
    refused as a whole (MetalLB, reference 6 item 14).

    Attributes:
        faults: of the refused.
        refused: their names.
    """

    def __init__(self, specs: Specs) -> None:
        self.faults: list[Fault] = []
        self.refused: set[str] = set()
        self._values: dict[str, Community | LargeCommunity] = {}
        self._owners: dict[str, CommunitySpec] = {}
        self._lost: dict[str, str] = {}  # aliases of the refused, and the first that defines them
        self._specs = specs
        for community in sorted(specs.communities.values(), key=lambda c: (c.created, c.name)):
            self._admit(community)
        self._nearest = Nearest(self._values)

    def _admit(self, community: CommunitySpec) -> None:
        ref = self._specs.ref("Community", community.name)
        twice = [
            Fault(ref, f"spec.communities[{i}].name", _defined_twice(alias, self._owners[alias]))
            for i, (alias, _) in enumerate(community.aliases)
            if alias in self._owners
        ]
        if twice:
            self.faults += twice
            self.refused.add(community.name)
            for alias, _ in community.aliases:
                self._lost.setdefault(alias, community.name)
            return
        for alias, value in community.aliases:
            self._values.setdefault(alias, value)
            self._owners.setdefault(alias, community)

    def complete(self, spec: BgpAdvertisementSpec) -> BgpAdvertisementSpec | list[Fault]:
        """Return an advertisement with the communities that its aliases stand for."""
        ref = self._specs.ref("BGPAdvertisement", spec.advertisement.name)
        missing = [alias for alias in spec.aliases if alias not in self._values]
        if missing:
            return [Fault(ref, "spec.communities", self._missing(alias)) for alias in missing]
        if not spec.aliases:
            return spec
        named = [self._values[alias] for alias in spec.aliases]
        standard = {c for c in named if isinstance(c, Community)}
        large = {c for c in named if isinstance(c, LargeCommunity)}
        advertisement = replace(
            spec.advertisement,
            communities=tuple(sorted(standard.union(spec.advertisement.communities))),
            large_communities=tuple(sorted(large.union(spec.advertisement.large_communities))),
        )
        return replace(spec, advertisement=advertisement, aliases=())

    def _missing(self, alias: str) -> str:
        if alias in self._lost:
            return (
                f"the Community alias {shown(alias)} is defined by Community "
                f"{self._lost[alias]} alone, which is left out for a fault of its own"
            )
        return (
            f"the Community alias {shown(alias)} does not exist (yet)"
            f"{self._nearest.hint(alias)}; this advertisement waits for it: define it in a "
            "Community, or write two numbers such as 65535:65281"
        )


def _defined_twice(alias: str, owner: CommunitySpec) -> str:
    return (
        f"the alias {shown(alias)} is defined by Community {owner.name} already: give it another "
        "name, or leave it out here"
    )


class PeerReferences:
    """Completes BGPPeers with what they name."""

    def __init__(self, specs: Specs) -> None:
        self._specs = specs
        self._profiles = Nearest(specs.bfd_profiles)

    def complete(self, spec: PeerSpec) -> Peer | list[Fault]:
        """Return a peer with its password."""
        problems = {
            "spec.passwordSecret": self._secret_problem(spec.password_secret),
            "spec.bfdProfile": self._profile_problem(spec.peer.bfd_profile),
        }
        ref = self._specs.ref("BGPPeer", spec.peer.name)
        faults = [Fault(ref, field, problem) for field, problem in problems.items() if problem]
        if faults:
            return faults
        secret = spec.password_secret and self._specs.secrets[spec.password_secret.name]
        if not secret or not secret.password:
            return spec.peer
        return replace(spec.peer, password=Password(secret.password))

    def _secret_problem(self, name: ObjectName | None) -> str:
        """Tell what is wrong with the Secret of a password, "" if nothing is.

        Only its name counts: MetalLB looks in the install namespace whatever the reference says.
        """
        if name is None:
            return ""
        where = f"Secret {shown(f'{self._specs.namespace}/{name.name}')}"
        secret = self._specs.secrets.get(name.name)
        if secret is None:
            return self._absent("Secret", name.name) or (
                f"{where} does not exist (yet); this peer waits for it: create it with type "
                f"{BASIC_AUTH} and the key `password`"
            )
        if secret.type != BASIC_AUTH:
            return f"{where} is of type {shown(secret.type)}: make one of type {BASIC_AUTH}"
        if not secret.password:
            return f"{where} has nothing under the key `password`: put the password there"
        size = len(secret.password.encode(errors="surrogateescape"))
        if size > MAX_PASSWORD:
            return f"{where} has a password of {size} bytes: Linux takes at most {MAX_PASSWORD}"
        return ""

    def _profile_problem(self, name: str | None) -> str:
        if name is None or name in self._specs.bfd_profiles:
            return ""
        return self._absent("BFDProfile", name) or (
            f"BFDProfile {shown(name)} does not exist (yet){self._profiles.hint(name)}; this peer "
            "waits for it: create it, or leave bfdProfile out"
        )

    def _absent(self, kind: str, name: str) -> str:
        """Tell of an object that exists and cannot be used."""
        if self._specs.ref(kind, name) not in self._specs.broken:
            return ""
        return f"{kind} {shown(name)} is left out for a fault of its own: mend that one"


def completed(specs: Specs, aliases: Aliases) -> tuple[Complete, list[Fault]]:
    """Return all that is complete, or was when it was resolved the last time, and what waits."""
    before = specs.last_good
    peers, faults = _completed(specs.peers, PeerReferences(specs).complete, before.peers)
    ads, more = _completed(specs.bgp_advertisements, aliases.complete, before.advertisements)
    profiles = {**before.bfd_profiles, **specs.bfd_profiles}
    named = {peer.bfd_profile for peer in peers.values()}
    return Complete(
        peers=peers,
        advertisements=ads,
        bfd_profiles={name: profile for name, profile in profiles.items() if name in named},
    ), faults + more


def _completed(
    specs: Mapping[str, S], complete: Callable[[S], T | list[Fault]], before: Mapping[str, T]
) -> tuple[dict[str, T], list[Fault]]:
    whole: dict[str, T] = {}
    faults: list[Fault] = []
    for name, spec in specs.items():
        found = complete(spec)
        if not isinstance(found, list):
            whole[name] = found
        elif name in before:
            whole[name] = before[name]
            faults += [replace(f, message=f"{f.message} {_STANDS}") for f in found]
        else:
            faults += found
    return whole, faults


_STANDS = "(until then its last good version stands)"
