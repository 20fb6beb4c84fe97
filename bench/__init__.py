"""Measurements, each beside a bare baseline in the same run: `make bench`.

Ratios are what counts: machines are shared, and both sides suffer alike.
"""
