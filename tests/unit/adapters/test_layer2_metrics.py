"""What a responder tells Prometheus."""

from ipaddress import ip_address
from urllib.request import urlopen

from exabgp_metallb.adapters.layer2.metrics import ResponderMetrics
from exabgp_metallb.values.orders import ForeignClaim, InterfaceReport, Role
from exabgp_metallb.values.vitals import ResponderVitals

MAC = "02:00:00:00:00:01"
VITALS = ResponderVitals(
    loaded=True,
    stale=False,
    waiting_for=(),
    away=frozenset(),
    roles={Role.OWNER: 2, Role.UNABLE: 1},
    interfaces=(InterfaceReport(name="eth1", usable=False, why="no carrier"),),
    foreign=(ForeignClaim(address=ip_address("10.0.0.1"), mac=MAC, interface="eth0"),),
    counters=(
        ("layer2_requests_received", "10.0.0.1", 7),
        ("layer2_gratuitous_sent", "10.0.0.1", 10),
        ("layer2_dropped_frames", "not_ours", 3),
        ("layer2_ownership", "takeovers", 2),
        ("of_a_newer_release", "", 1),
    ),
)


def scraped(vitals: ResponderVitals) -> str:
    """Return what a scrape says of a responder."""
    metrics = ResponderMetrics("127.0.0.1", 0)
    metrics.start()
    metrics.publish(vitals)
    with urlopen(f"http://127.0.0.1:{metrics.port}/metrics") as answer:
        return bytes(answer.read()).decode()


def test_all_that_a_responder_counts_is_told() -> None:
    """By MetalLB's names where they mean the same."""
    said = scraped(VITALS).splitlines()
    for line in (
        'metallb_layer2_requests_received{ip="10.0.0.1"} 7.0',
        'metallb_layer2_gratuitous_sent{ip="10.0.0.1"} 10.0',
        'exabgp_metallb_layer2_dropped_frames_total{reason="not_ours"} 3.0',
        'exabgp_metallb_layer2_ownership_total{event="takeovers"} 2.0',
        'exabgp_metallb_layer2_addresses{role="owner"} 2.0',
        'exabgp_metallb_layer2_addresses{role="standby"} 0.0',
        'exabgp_metallb_layer2_interface_usable{interface="eth1",why="no carrier"} 0.0',
        f'exabgp_metallb_layer2_foreign_claim{{interface="eth0",ip="10.0.0.1",mac="{MAC}"}} 1.0',
        "exabgp_metallb_layer2_speaker_connected 1.0",
    ):
        assert line in said


def test_a_speaker_that_is_away_shows() -> None:
    """The addresses are answered all the same."""
    assert "exabgp_metallb_layer2_speaker_connected 0.0" in scraped(ResponderVitals())
