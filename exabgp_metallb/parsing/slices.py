"""EndpointSlices, and from them the endpoints of each Service."""

from types import MappingProxyType

from exabgp_metallb.values.objects import Endpoint, EndpointSlice, ObjectName


class Slices:
    """All slices by the Service that they belong to.

    Attributes:
        endpoints: by Service those of all its slices, in order of the slices' names; a live view.
            A Service without slices is not in it.
    """

    def __init__(self) -> None:
        self._services: dict[ObjectName, ObjectName] = {}  # by slice
        self._slices: dict[ObjectName, dict[str, EndpointSlice]] = {}  # by Service and name
        self._endpoints: dict[ObjectName, tuple[Endpoint, ...]] = {}
        self.endpoints = MappingProxyType(self._endpoints)

    def replace(self, name: ObjectName, new: EndpointSlice | None) -> set[ObjectName]:
        """Put a slice in the place of the one of that name; None: it is gone.

        Returns:
            The Services whose serving endpoints moved, or became more or fewer.
        """
        touched = set()
        service = self._services.pop(name, None)
        if service is not None and (new is None or new.service != service):
            del self._slices[service][name.name]
            touched.add(service)
        if new is not None:
            self._services[name] = new.service
            self._slices.setdefault(new.service, {})[name.name] = new
            touched.add(new.service)
        return {service for service in touched if self._unite(service)}

    def _unite(self, service: ObjectName) -> bool:
        """Put the slices of a Service together, and tell whether that matters to anybody."""
        before = self._endpoints.pop(service, ())
        slices = self._slices[service]
        if not slices:
            del self._slices[service]
            return bool(_serving(before))
        if len(slices) == 1:  # as most have: the slice's own tuple, not a copy
            ((_, only),) = slices.items()
            now = only.endpoints
        else:
            now = tuple(e for name in sorted(slices) for e in slices[name].endpoints)
        self._endpoints[service] = now
        return _serving(before) != _serving(now)


def _serving(endpoints: tuple[Endpoint, ...]) -> list[str]:
    """Return the node of each endpoint that serves: all that decisions read of them."""
    return sorted(e.node or "" for e in endpoints if e.can_serve and e.addresses)
