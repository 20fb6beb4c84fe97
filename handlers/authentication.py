"""Checking administrators."""

from importlib.resources import files

from starlette.responses import Response

from nethvoice import bodies, security
from nethvoice.context import client_address
from nethvoice.system import System

_SCRIPT = (files("nethvoice.http") / "console" / "ui" / "sha1.js").read_bytes()


def verify_administrator(*, body: bodies.Credentials, system: System) -> bodies.SharedSecret:
    """The shared secret for an administrator's name and password."""
    name, password = body.get("username") or "", body.get("password") or ""
    return {"result": security.shared_secret(system, name, password, client_address())}


def check_login() -> bodies.LoginState:
    """The gateway has checked the headers already."""
    return {"success": True}


def end_login() -> bodies.LoginState:
    """There is no session to end."""
    return {"success": True}


def get_sha1_script() -> Response:
    """A script for pages that compute the key."""
    headers = {"cache-control": "public, max-age=3600"}
    return Response(_SCRIPT, media_type="text/javascript", headers=headers)
