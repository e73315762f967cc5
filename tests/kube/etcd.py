"""An etcd server on loopback, from Debian or wherever one is found."""

import base64
import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.kube.polling import wait_until
from tests.kube.process import LOOPBACK, Process, free_ports

ANSWER_SECONDS = 60.0


class Etcd:
    """One etcd server without TLS."""

    def __init__(self, program: Path, directory: Path) -> None:
        """Choose ports; data and log go to the directory, which must exist."""
        client, peer = free_ports(2)
        self.url = f"http://{LOOPBACK}:{client}"
        self._peer_url = f"http://{LOOPBACK}:{peer}"
        self._directory = directory
        self._process = Process(program, directory / "etcd.log")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process.start(
            [
                f"--data-dir={self._directory / 'etcd'}",
                f"--listen-client-urls={self.url}",
                f"--advertise-client-urls={self.url}",
                f"--listen-peer-urls={self._peer_url}",
                f"--initial-advertise-peer-urls={self._peer_url}",
                f"--initial-cluster=default={self._peer_url}",
            ]
        )
        wait_until(self._healthy, what="etcd", within_seconds=ANSWER_SECONDS)

    def stop(self) -> None:
        """Stop it; the data stays."""
        self._process.stop()

    def compact(self) -> int:
        """Forget every revision before the newest, and return that one (a resourceVersion)."""
        first_key = base64.b64encode(b"\0").decode()
        answer = self._call("/v3/kv/range", {"key": first_key, "limit": 1})
        revision = int(answer["header"]["revision"])
        self._call("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    def supports_progress_requests(self) -> bool:
        """Tell whether Kubernetes takes this etcd's answers to progress requests for right.

        They are since 3.4.31 and 3.5.13; on anything older kube-apiserver refuses streaming lists.
        """
        command = [str(self._process.program), "--version"]
        output = subprocess.run(command, check=True, capture_output=True).stdout
        found = re.search(rb"etcd Version: (\d+)\.(\d+)\.(\d+)", output)
        assert found is not None, "etcd tells its version"
        major, minor, patch = map(int, found.groups())
        return (major, minor, patch) >= ((3, 4, 31) if (major, minor) < (3, 5) else (3, 5, 13))

    def _healthy(self) -> bool:
        self._process.check()
        try:
            return bool(self._call("/v3/maintenance/status", {}))
        except OSError:
            return False

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send one request to etcd's JSON gateway."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data)  # noqa: S310  our own http URL
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:  # noqa: S310  same
            answer = json.load(response)
        assert isinstance(answer, dict)
        return answer
