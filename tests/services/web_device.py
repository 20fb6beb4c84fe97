"""The web pages of a device, good or odd: `python -m tests.services.web_device ADDRESS KIND`."""

import asyncio
import base64
import sys
from typing import NoReturn

_LOGIN = "Basic " + base64.b64encode(b"admin:admin").decode()

PAGES = {
    "vega": {"/index.htm": ("", "<html><title>Sangoma Vega 60</title></html>")},
    "snom": {"/info.htm": (_LOGIN, "<td>Firmware-Version:</td><td>snom320-SIP 8.7.5.35</td>")},
    "m700": {"/main.html": (_LOGIN, "<title>M700</title>")},
    "s500": {"/index.htm": ("", "<b>Phone</b><i> S500 </i>")},
    "cisco": {"/": ("", "<title>SPA504 Configuration Utility</title>")},
    "yealink-json": {
        "/cgi-bin/ConfigManApp.com?Id=1": (_LOGIN, 'var devtype = "t46g";'),
    },
    "yealink-title": {
        "/servlet?p=login&q=loginForm&jumpto=status": ("", "<p>Gigabit Color IP Phone SIP-T48G</p>")
    },
    "yealink-t38": {
        "/cgi-bin/cgiServer.exx?page=Status.htm": (_LOGIN, "Firmware 38.70.0.125"),
    },
    "plain": {"/": ("", "<h1>It works</h1>")},
}


async def _answer(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if kind == "silent":
            await asyncio.sleep(600)
        if kind == "garbage":
            writer.write(b"\x00\xff" * 500)
            await writer.drain()
            return
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if kind == "drip":
            # A header that never ends, and never is silent for long.
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.5)
        if kind == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
            while True:
                writer.write(b"<p>no end</p>" * 1000)
                await writer.drain()
        if kind == "elsewhere":
            _reply(writer, "302 Found", "", "Location: http://127.0.0.1:9/\r\n")
            return
        path = head.split(" ", 2)[1]
        login, page = PAGES[kind].get(path, ("", ""))
        if not page:
            _reply(writer, "404 Not Found", "not here")
        elif login and f"authorization: {login}".lower() not in head.lower():
            _reply(writer, "401 Unauthorized", "", 'WWW-Authenticate: Basic realm="x"\r\n')
        else:
            _reply(writer, "200 OK", page)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def _reply(writer: asyncio.StreamWriter, status: str, page: str, more: str = "") -> None:
    body = page.encode()
    head = f"HTTP/1.1 {status}\r\n{more}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def start(address: str, port: int, kind: str) -> asyncio.Server:
    """Serve a kind of device."""
    return await asyncio.start_server(lambda r, w: _answer(kind, r, w), address, port)


async def _main(address: str, kind: str) -> NoReturn:
    server = await start(address, 80, kind)
    print("ready", flush=True)
    await server.serve_forever()
    raise SystemExit


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:3]))
