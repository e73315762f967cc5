"""A cluster in memory: a source and a writer for one controller, with a say over every answer."""

import copy
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any

from exabgp_metallb.adapters.kubernetes.answers import ApiError
from exabgp_metallb.adapters.kubernetes.writes import Request, Sent
from exabgp_metallb.adapters.source import Event, Gone, Listed, Listener, Put
from exabgp_metallb.parsing.objects import parse
from exabgp_metallb.programs.controller import Controller, Elected, Heard
from exabgp_metallb.programs.tenure import KINDS
from exabgp_metallb.values.faults import ObjectRef
from exabgp_metallb.values.specs import Parsed
from exabgp_metallb.values.vitals import ControllerVitals

Raw = dict[str, Any]
Flying = tuple[int, object, Request]

NAMESPACE = "metallb-system"
CONDITION = "metallb.io/AddressAllocated"
FORBIDDEN = 'services "web" is forbidden: User "us" cannot patch resource "services/status"'


def service(name: str, *ingress: Raw, created: int = 0, **metadata: object) -> Raw:
    """Return a Service of type LoadBalancer as the API has it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-of-{name}",
            "creationTimestamp": f"2024-01-01T00:00:{created:02}Z",
            **metadata,
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.1",
            "clusterIPs": ["10.96.0.1"],
            "ipFamilies": ["IPv4"],
            "ports": [{"port": 80, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {"ingress": list(ingress)} if ingress else {}},
    }


def pool(name: str, *addresses: str, **spec: object) -> Raw:
    """Return an IPAddressPool."""
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"addresses": [*addresses], **spec},
    }


class MemoryCluster:
    """What the API holds, what a controller has sent, and what it has been told.

    Attributes:
        objects: as the API has them.
        flying: writes that were sent and not answered.
        told_owners: reason and message of the Events, in order, by Service.
        statuses: how many statuses of Services were written.
        deaf: keeps the watch from telling until it is set again.
        vitals: as published last.
    """

    def __init__(self, *objects: Raw, lb_class: str | None = None) -> None:
        self.objects: dict[ObjectRef, Raw] = {}
        self.flying: list[Flying] = []
        self.told_owners: list[tuple[str, str, str]] = []
        self.statuses = 0
        self.counters: list[tuple[str, Raw]] = []
        self.states: list[Raw] = []
        self.state: Raw | None = None
        self.now = 100.0
        self.deaf = False
        self.vitals = ControllerVitals()
        self._version = 0
        self._event_names: set[str] = set()
        self._unheard: list[Event] = []
        self._terms = 0
        self._listener: Listener | None = None
        self._lb_class = lb_class
        for each in objects:
            self.put(each)
        self.restart()

    # What a controller sees of it.

    def start(self, listener: Listener) -> None:
        """Tell of everything, kind by kind; a Source's."""
        self._listener = listener
        self.tell_lists()

    def stop(self) -> None:
        """Tell no more; a Source's."""
        self._listener = None
        self._unheard.clear()

    def submit(self, term: int, key: object, request: Request) -> None:
        """Take a write; a Writer's."""
        self.flying.append((term, key, request))

    # What the test does to a controller.

    def restart(self) -> None:
        """Let the controller crash and begin anew; what it sent is forgotten."""
        self.stop()
        self.flying.clear()
        self.inbox: SimpleQueue[Heard] = SimpleQueue()
        self.controller = Controller(
            namespace=NAMESPACE,
            lb_class=self._lb_class,
            inbox=self.inbox,
            new_source=lambda: self,
            writer=self,
            publish=self._publish,
        )

    def elect(self, *, leads: bool = True) -> None:
        """Let a leadership begin or end."""
        self._terms += leads
        self.inbox.put(Elected(self._terms if leads else None))
        self.turn()

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, and the controller hear what there is."""
        self.now += seconds
        for _ in range(3):  # a source that is started in one turn is heard in the next
            heard = [self.inbox.get() for _ in range(self.inbox.qsize())]
            self.controller.turn(heard, self.now, datetime.fromtimestamp(self.now, UTC))

    def settle(self, seconds: float = 2.0) -> None:
        """Answer everything well until nothing is sent any more."""
        self.turn()
        for _ in range(200):
            while self.flying:
                self.answer()
            self.turn(seconds)
            if not self.flying:
                return
        raise AssertionError(self.flying)

    def lead(self) -> None:
        """Let a new controller lead until there is nothing to do."""
        self.elect()
        self.settle()

    # What the test does to the API.

    def put(self, raw: Raw) -> None:
        """Create or change an object, as somebody else."""
        ref = _ref(raw)
        self._version += 1
        stored = copy.deepcopy(raw)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[ref] = stored
        self._tell(Put(_parsed(stored)))

    def edit(self, name: str, **spec: object) -> None:
        """Change fields of a Service's spec, as its owner."""
        raw = copy.deepcopy(self.raw(name))
        raw["spec"].update(spec)
        self.put(raw)

    def delete(self, name: str, kind: str = "Service") -> None:
        """Delete an object."""
        ref = next(r for r in self.objects if (r.kind, r.name) == (kind, name))
        self._version += 1
        del self.objects[ref]
        self._tell(Gone(ref))

    def hear_again(self) -> None:
        """Let the watch tell all that it kept back."""
        self.deaf = False
        unheard, self._unheard = self._unheard, []
        for event in unheard:
            self._tell(event)
        self.turn()

    def tell_lists(self, objects: dict[ObjectRef, Raw] | None = None) -> None:
        """List every kind, as it is or as it was."""
        found = copy.deepcopy(self.objects if objects is None else objects)
        for kind in sorted(KINDS):
            of_kind = tuple(_parsed(raw) for ref, raw in found.items() if ref.kind == kind)
            self._tell(Listed(frozenset({kind}), of_kind))

    def answer(self, index: int = 0, how: str = "done", *, key: object = None) -> None:
        """Answer one write: done, refused, lost (not done), or done, but the answer is lost."""
        if key is not None:
            index = [each[1] for each in self.flying].index(key)
        term, key, request = self.flying.pop(index)
        answer: Raw = {}
        error: ApiError | None = None
        if how.startswith("done"):
            try:
                answer = self._do(request)
            except ApiError as refusal:
                error = refusal
        if how == "refused":
            error = ApiError(FORBIDDEN, status=HTTPStatus.FORBIDDEN)
        elif how != "done":
            answer, error = {}, ApiError("no answer in time")
        self.inbox.put(Sent(term, key, answer, error))

    # What the test looks at.

    def raw(self, name: str) -> Raw:
        """Return a Service as the API has it."""
        return next(o for r, o in self.objects.items() if (r.kind, r.name) == ("Service", name))

    def addresses(self, name: str) -> list[str]:
        """Return what a Service shows."""
        ingress = self.raw(name)["status"]["loadBalancer"].get("ingress") or []
        return [entry.get("ip") or entry["hostname"] for entry in ingress]

    def condition(self, name: str) -> Raw:
        """Return our condition on a Service; empty without one."""
        conditions = self.raw(name)["status"].get("conditions") or []
        return next((c for c in conditions if c["type"] == CONDITION), {})

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return reason and message of the Events on a Service."""
        return [(reason, message) for who, reason, message in self.told_owners if who == name]

    def subjects(self) -> list[object]:
        """Return what the writes on their way are about."""
        return [key for _, key, _ in self.flying]

    def leads(self) -> bool:
        """Tell whether the controller says that it leads."""
        return self.vitals.leads

    # How the API answers.

    def _publish(self, vitals: ControllerVitals) -> None:
        self.vitals = vitals

    def _tell(self, event: Event) -> None:
        if self._listener is None:
            return
        if self.deaf:
            self._unheard.append(event)
        else:
            self._listener(event)

    def _do(self, request: Request) -> Raw:
        if request.path.endswith("/events"):
            body = request.body or {}
            name = body["involvedObject"]["name"]
            if body["metadata"]["name"] in self._event_names:
                raise ApiError("already exists", status=HTTPStatus.CONFLICT)
            self._event_names.add(body["metadata"]["name"])
            self.told_owners.append((name, body["reason"], body["message"]))
            return {}
        if "/ipaddresspools/" in request.path:
            self.counters.append((request.path.split("/")[-2], (request.body or {})["status"]))
            return {}
        if "/configurationstates/" in request.path:
            return self._do_state(request)
        return self._do_status(request)

    def _do_state(self, request: Request) -> Raw:
        if request.method == "PATCH":
            self.state = {**(self.state or {}), **(request.body or {})}
            self.states.append(copy.deepcopy(self.state))
        if self.state is None:
            raise ApiError("not found", status=HTTPStatus.NOT_FOUND)
        return self.state

    def _do_status(self, request: Request) -> Raw:
        found = re.fullmatch(r"/api/v1/namespaces/([^/]+)/services/([^/]+)/status", request.path)
        assert found is not None, request.path
        body = request.body or {}
        stored = self.objects.get(ObjectRef("Service", found[1], found[2]))
        if stored is None:
            raise ApiError("not found", status=HTTPStatus.NOT_FOUND)
        if body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise ApiError("the object has been modified", status=HTTPStatus.CONFLICT)
        raw = copy.deepcopy(stored)
        _merge_annotations(raw, body["metadata"]["annotations"])
        ingress = body["status"]["loadBalancer"]["ingress"]
        raw["status"]["loadBalancer"] = {"ingress": ingress} if ingress else {}
        _merge_conditions(raw["status"], body["status"].get("conditions", ()))
        self.statuses += 1
        self.put(raw)
        return self.objects[_ref(raw)]


def _merge_annotations(raw: Raw, changes: dict[str, str | None]) -> None:
    annotations = raw["metadata"].setdefault("annotations", {})
    for key, text in changes.items():
        if text is None:
            annotations.pop(key, None)
        else:
            annotations[key] = text


def _merge_conditions(status: Raw, changes: Iterable[Raw]) -> None:
    """Merge by type, as a strategic merge patch does."""
    for change in changes:
        conditions = {c["type"]: c for c in status.get("conditions", ())}
        if change.get("$patch") == "delete":
            conditions.pop(change["type"], None)
        else:
            conditions[change["type"]] = {**conditions.get(change["type"], {}), **change}
        status["conditions"] = [*conditions.values()]


def _ref(raw: Raw) -> ObjectRef:
    metadata = raw["metadata"]
    return ObjectRef(raw["kind"], metadata.get("namespace", ""), metadata["name"])


def _parsed(raw: Raw) -> Parsed:
    parsed = parse(raw)
    assert parsed is not None
    return parsed
