"""Benchmarks, run by hand: `python -m tests.bench.NAME`; docs/performance.md has their figures.

They print and judge nothing: no test fails because a machine is slow.
"""
