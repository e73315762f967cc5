"""The Services that a controller has to do with, as of their newest version that it knows.

Two tell about a Service: the watch, and the answers to our own writes, which are mostly earlier.
What the watch tells from before a write of ours is dropped: what came of that is on its way.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exabgp_metallb.values.faults import Fault, ObjectRef
from exabgp_metallb.values.objects import ObjectName, Service
from exabgp_metallb.values.specs import Parsed

SERVICE = "Service"


@dataclass(frozen=True, slots=True)
class News:
    """What was told since somebody asked last.

    Attributes:
        told: Services of ours, or that were ours, of which there is another version.
        changed: those of them that differ in anything that we read.
    """

    told: frozenset[ObjectName]
    changed: frozenset[ObjectName]


class Services:
    """The Services that this controller has to do with, and what changed of them.

    Ours are those of type LoadBalancer and of our class. One that has changed its type has lost
    its class as well; while it still bears the pool's annotation it is ours to clean up.

    Attributes:
        ours: by name; one that cannot be read stays as it was.
    """

    def __init__(self, lb_class: str | None) -> None:
        self._lb_class = lb_class
        self.ours: dict[ObjectName, Service] = {}
        self._told: dict[ObjectName, Parsed] = {}  # of every type
        self._written: dict[ObjectName, str] = {}  # versions that the watch has not come to yet
        self._news: set[ObjectName] = set()
        self._changed: set[ObjectName] = set()

    def put(self, parsed: Parsed) -> None:
        """Take a Service that is new or has changed."""
        name = _name(parsed.ref)
        if self._is_behind(name, parsed):
            return
        self._written.pop(name, None)
        self._told[name] = parsed
        if isinstance(parsed.value, Service):
            self._hold(name, parsed.value if self._is_ours(parsed.value) else None)

    def gone(self, ref: ObjectRef) -> None:
        """Forget a Service that was deleted."""
        name = _name(ref)
        self._told.pop(name, None)
        self._written.pop(name, None)
        self._hold(name, None)

    def listed(self, objects: Iterable[Parsed]) -> None:
        """Take all Services there are."""
        there = {_name(parsed.ref): parsed for parsed in objects}
        for name in self._told.keys() - there.keys():
            self.gone(ObjectRef(SERVICE, name.namespace, name.name))
        for parsed in there.values():
            self.put(parsed)

    def written(self, name: ObjectName, version: str) -> None:
        """Note what version a write of ours has made."""
        if name in self._told:
            self._written[name] = version

    def take_news(self) -> News:
        """Return what was told since the last call."""
        news = News(frozenset(self._news), frozenset(self._changed))
        self._news.clear()
        self._changed.clear()
        return news

    def version(self, name: ObjectName) -> str:
        """Return the newest resourceVersion that we know; "" for none."""
        told = self._told.get(name)
        return self._written.get(name) or (told.version if told else "")

    def uid(self, name: ObjectName) -> str:
        """Return the uid of a Service; "" when it is gone."""
        return self._told[name].uid if name in self._told else ""

    def faults(self) -> Iterator[Fault]:
        """Yield what is wrong with Services that cannot be read."""
        for parsed in self._told.values():
            yield from parsed.faults

    def _is_behind(self, name: ObjectName, parsed: Parsed) -> bool:
        """Tell whether this is a Service as it was before a write of ours.

        Versions of one kind can be compared as numbers (KEP-5504); where they are none, none is.
        """
        written = self._written.get(name, "")
        if not (written.isdecimal() and parsed.version.isdecimal()):
            return False
        return int(parsed.version) < int(written)

    def _is_ours(self, service: Service) -> bool:
        if service.is_load_balancer:
            return service.load_balancer_class == self._lb_class
        return service.allocated_pool is not None

    def _hold(self, name: ObjectName, service: Service | None) -> None:
        before = self.ours.get(name)
        if before is None and service is None:
            return
        self._news.add(name)
        if before == service:
            return
        self._changed.add(name)
        if service is None:
            del self.ours[name]
        else:
            self.ours[name] = service


def _name(ref: ObjectRef) -> ObjectName:
    return ObjectName(ref.namespace, ref.name)
