"""Tests: unit/decisions."""
