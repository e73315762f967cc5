"""Tests: unit/adapters."""
