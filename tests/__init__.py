"""Tests of exabgp-metallb."""
