"""Tests: unit/parsing."""
