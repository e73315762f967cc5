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
        self._slices: dict[ObjectName, tuple[EndpointSlice, ...]] = {}  # by Service, sorted
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
            self._put(service, name, None)
            touched.add(service)
        if new is not None:
            self._services[name] = new.service
            self._put(new.service, name, new)
            touched.add(new.service)
        return {service for service in touched if self._unite(service)}

    def _put(self, service: ObjectName, name: ObjectName, new: EndpointSlice | None) -> None:
        others = [each for each in self._slices.get(service, ()) if each.name != name]
        slices = others if new is None else [*others, new]
        if slices:
            self._slices[service] = tuple(sorted(slices, key=lambda each: each.name))
        else:
            self._slices.pop(service, None)

    def _unite(self, service: ObjectName) -> bool:
        """Put the slices of a Service together, and tell whether that matters to anybody."""
        before = self._endpoints.pop(service, ())
        slices = self._slices.get(service)
        if slices is None:
            return bool(_serving(before))
        if len(slices) == 1:  # as most have: the slice's own tuple, not a copy
            now = slices[0].endpoints
        else:
            now = tuple(endpoint for each in slices for endpoint in each.endpoints)
        self._endpoints[service] = now
        return _serving(before) != _serving(now)


def _serving(endpoints: tuple[Endpoint, ...]) -> list[str]:
    """Return the node of each endpoint that serves: all that decisions read of them."""
    return sorted(e.node or "" for e in endpoints if e.can_serve and e.addresses)
