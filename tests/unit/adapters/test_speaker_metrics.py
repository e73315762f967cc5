"""What a speaker's vitals say to Prometheus."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from exabgp_metallb.adapters.metrics import Metrics
from exabgp_metallb.decisions.latency import Latency
from exabgp_metallb.values.bfd import BfdVitals
from exabgp_metallb.values.vitals import Layer2Vitals, SpeakerVitals

Sample = tuple[str, tuple[tuple[str, str], ...], float]


def samples(vitals: SpeakerVitals) -> set[Sample]:
    """Return each sample as Prometheus reads it: name, labels and value."""
    server = Metrics("127.0.0.1", 0)
    server.publish(vitals)
    server.start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names)), "a family is there twice"
    return {
        (sample.name, tuple(sorted(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_announced_by_which_protocol() -> None:
    """By MetalLB's name and labels; both protocols are one family."""
    vitals = SpeakerVitals(
        node="node1",
        announced=(("default/web", "192.0.2.1"),),
        layer2=Layer2Vitals(
            node="node1", connected=True, announced=(("default/web", "192.0.2.1"),)
        ),
    )
    found = samples(vitals)
    for protocol in ("bgp", "layer2"):
        labels = (
            ("ip", "192.0.2.1"),
            ("node", "node1"),
            ("protocol", protocol),
            ("service", "default/web"),
        )
        assert ("metallb_speaker_announced", labels, 1.0) in found


def test_sessions_prefixes_and_drift_have_the_peer() -> None:
    """As address and port."""
    peer = "192.0.2.9:179"
    found = samples(
        SpeakerVitals(sessions={peer: True}, prefixes={peer: 7}, drift={peer: 3}, refused_lines=2)
    )
    label = (("peer", peer),)
    assert ("metallb_bgp_session_up", label, 1.0) in found
    assert ("metallb_bgp_announced_prefixes_total", label, 7.0) in found
    assert ("exabgp_metallb_drift_total", label, 3.0) in found
    assert ("exabgp_metallb_refused_lines_total", (), 2.0) in found


def test_bfd_sessions_have_the_peer() -> None:
    """MetalLB's name; a bfdd that is away is no session's failure."""
    bfd = BfdVitals(reached=False, sessions={"192.0.2.9": True}, falls={"192.0.2.9": 4})
    found = samples(SpeakerVitals(bfd=bfd))
    label = (("peer", "192.0.2.9"),)
    assert ("metallb_bfd_session_up", label, 1.0) in found
    assert ("exabgp_metallb_bfd_falls_total", label, 4.0) in found
    assert ("exabgp_metallb_bfdd_reached", (), 0.0) in found
    assert not any("bfd" in name for name, _, _ in samples(SpeakerVitals()))


def test_the_time_from_event_to_wire_is_a_histogram() -> None:
    """Buckets count what took no longer than their bound."""
    latency = Latency()
    latency.began(1.0)
    latency.done(1.02)
    found = samples(SpeakerVitals(latency=latency.histogram))
    name = "exabgp_metallb_change_seconds"
    assert (f"{name}_bucket", (("le", "0.01"),), 0.0) in found
    assert (f"{name}_bucket", (("le", "0.025"),), 1.0) in found
    assert (f"{name}_count", (), 1.0) in found
