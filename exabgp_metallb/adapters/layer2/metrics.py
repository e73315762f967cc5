"""What a responder tells Prometheus; see `adapters.metrics` for how it is served."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from exabgp_metallb.adapters.metrics import HealthServer
from exabgp_metallb.values.orders import Role
from exabgp_metallb.values.vitals import ResponderVitals

_COUNTERS = {
    # MetalLB's, with its label
    "layer2_requests_received": ("metallb", "ip", "ARP requests and NS for an owned address."),
    "layer2_responses_sent": ("metallb", "ip", "ARP replies and NA that answered one."),
    "layer2_gratuitous_sent": ("metallb", "ip", "Gratuitous ARP and unsolicited NA."),
    # ours
    "layer2_dropped_frames": ("exabgp_metallb", "reason", "Frames that nothing followed from."),
    "layer2_lost_frames": ("exabgp_metallb", "interface", "Frames that came while none was read."),
    "layer2_socket_errors": ("exabgp_metallb", "error", "Calls that the kernel refused."),
    "layer2_ownership": ("exabgp_metallb", "event", "Changes of who answers, as seen here."),
}


def responder_metrics(vitals: ResponderVitals) -> Iterator[Metric]:
    """Yield the metrics of a responder."""
    connected = GaugeMetricFamily(
        "exabgp_metallb_layer2_speaker_connected", "1 while the speaker gives orders."
    )
    connected.add_metric([], float(not vitals.stale))
    yield connected
    addresses = GaugeMetricFamily(
        "exabgp_metallb_layer2_addresses",
        "Addresses by what this node is for them.",
        labels=["role"],
    )
    for role in Role:
        addresses.add_metric([role.value], vitals.roles.get(role, 0))
    yield addresses
    usable = GaugeMetricFamily(
        "exabgp_metallb_layer2_interface_usable",
        "1 if the interface can answer at all, else 0 and why not.",
        labels=["interface", "why"],
    )
    for interface in vitals.interfaces:
        usable.add_metric([interface.name, interface.why], float(interface.usable))
    yield usable
    foreign = GaugeMetricFamily(
        "exabgp_metallb_layer2_foreign_claim",
        "1 for each address of ours that somebody else claimed within the last minute.",
        labels=["ip", "mac", "interface"],
    )
    for claim in vitals.foreign:
        foreign.add_metric([str(claim.address), claim.mac, claim.interface], 1.0)
    yield foreign
    yield from _counters(vitals.counters)


def _counters(counters: tuple[tuple[str, str, int], ...]) -> Iterator[Metric]:
    for name, (prefix, label, text) in _COUNTERS.items():
        # MetalLB's counters have no _total; a counter of this library always has.
        kind = GaugeMetricFamily if prefix == "metallb" else CounterMetricFamily
        family = kind(f"{prefix}_{name}", text, labels=[label])
        for each, value, count in counters:
            if each == name:
                family.add_metric([value], float(count))
        yield family


class ResponderMetrics(HealthServer[ResponderVitals]):
    """A responder's."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(address, port, ResponderVitals(), responder_metrics)
