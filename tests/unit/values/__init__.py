"""Tests: unit/values."""
