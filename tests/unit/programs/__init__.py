"""Tests: unit/programs."""
