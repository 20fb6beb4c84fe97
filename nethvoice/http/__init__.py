"""The HTTP side: what stands between the server and the handlers."""
