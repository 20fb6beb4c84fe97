"""The HTTP side: what stands between the server and the handlers."""

from nethvoice.http.answers import Answer, RawJson

__all__ = ["Answer", "RawJson"]
