"""Where metrics and health are served."""

import urllib.request

import pytest

from exabgp_metallb.adapters.metrics import Metrics
from exabgp_metallb.values.vitals import SpeakerVitals


@pytest.mark.parametrize(("address", "url"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_both_families_are_served(address: str, url: str) -> None:
    """A node of a cluster of one family may have an IPv6 address and no other."""
    server = Metrics(address, 0)
    server.publish(SpeakerVitals(waiting_for=()))
    server.start()
    with urllib.request.urlopen(f"http://{url}:{server.port}/readyz", timeout=60) as answer:
        assert answer.read() == b"ok\n"
