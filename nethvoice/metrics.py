"""Prometheus metrics of the service; several processes share them through a folder."""

import os
from functools import lru_cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from nethvoice.problems import Problem
from nethvoice.system import System

_requests = Counter(
    "nethvoice_requests",
    "Requests by operation, method and status",
    ["operation", "method", "status"],
)
_seconds = Histogram(
    "nethvoice_request_seconds",
    "Time to answer by operation",
    ["operation"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_waiting = Gauge(
    "nethvoice_outbox_waiting", "Effects that wait to be applied", multiprocess_mode="mostrecent"
)
_parked = Gauge(
    "nethvoice_outbox_parked", "Effects that were given up", multiprocess_mode="mostrecent"
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def observe(operation: str, method: str, status: int, seconds: float) -> None:
    """Count one request. Methods that do not exist are counted together."""
    requests, times = _series(operation, method if method in _METHODS else "other", status)
    requests.inc()
    times.observe(seconds)


@lru_cache(maxsize=4096)
def _series(operation: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return _requests.labels(operation, method, str(status)), _seconds.labels(operation)


def render(system: System) -> tuple[str, bytes]:
    """Media type and text of all metrics, those of the other processes included."""
    try:
        pending = system.outbox.pending()
    except Problem:
        pass  # the last known values are shown
    else:
        _waiting.set(pending.waiting)
        _parked.set(pending.parked)
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return CONTENT_TYPE_LATEST, generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_LATEST, generate_latest(registry)
