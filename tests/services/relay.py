"""A TCP relay that can misbehave: cut the connection, or let through one byte now and then."""

import socket
import threading
from typing import Self


class Relay:
    """Passes a client on to `port`. After `limit` bytes from the server it cuts the connection,
    or, with `trickle`, goes on with one byte every `trickle` seconds."""

    def __init__(self, port: int, limit: int, trickle: float | None = None) -> None:
        self._target = port
        self._limit = limit
        self._trickle = trickle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = threading.Event()
        self.port = int(self._listener.getsockname()[1])
        self.url = f"ldap://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener.settimeout(0.1)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            for work, ends in ((self._up, (client, server)), (self._down, (server, client))):
                thread = threading.Thread(target=work, args=ends)
                thread.start()
                self._threads.append(thread)

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        client.settimeout(0.1)
        while not self._stopping.is_set():
            try:
                data = client.recv(4096)
                server.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                break
            if not data:
                break
        for end in (client, server):
            end.close()

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        try:
            while not self._stopping.is_set():
                data = server.recv(min(4096, self._limit - passed) if passed < self._limit else 1)
                if not data:
                    break
                client.sendall(data)
                passed += len(data)
                if passed >= self._limit:
                    if self._trickle is None:
                        break
                    self._stopping.wait(self._trickle)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side has gone

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
