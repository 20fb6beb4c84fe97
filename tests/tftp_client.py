"""A small TFTP client, for simulated devices and for requests that no real client sends."""

import socket
import struct

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)


class TftpError(Exception):
    """The server's error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def request(name: str, opcode: int = RRQ, mode: str = "octet", **options: object) -> bytes:
    parts = [name, mode, *(str(part) for pair in options.items() for part in pair)]
    return struct.pack("!H", opcode) + b"".join(part.encode() + b"\0" for part in parts)


def error_in(packet: bytes) -> int | None:
    opcode, code = struct.unpack("!HH", packet[:4])
    return code if opcode == ERROR else None


def fetch(
    port: int,
    name: str,
    *,
    host: str = "127.0.0.1",
    source: str = "127.0.0.1",
    timeout: float = 5.0,
    attempts: int = 4,
    **options: object,
) -> bytes:
    """Fetch a file as a device does, with `options` such as blksize and tsize."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(timeout)
        packet, peer = request(name, **options), (host, port)
        size, expected, content = 512, 1, b""
        left = attempts
        while True:
            sock.sendto(packet, peer)
            try:
                answer, sender = sock.recvfrom(65536)
            except TimeoutError:
                left -= 1
                if not left:
                    raise
                continue
            left = attempts
            opcode, number = struct.unpack("!HH", answer[:4])
            if opcode == ERROR:
                raise TftpError(number, answer[4:-1].decode())
            if opcode == OACK:
                words = answer[2:-1].decode().split("\0")
                agreed = dict(zip(words[::2], words[1::2], strict=True))
                assert agreed.keys() <= options.keys(), "an option that was not asked for"
                size = int(agreed.get("blksize", 512))
                peer, packet = sender, struct.pack("!HH", ACK, 0)
            elif number == expected % 65536:
                content += answer[4:]
                expected += 1
                peer, packet = sender, struct.pack("!HH", ACK, number)
                if len(answer) - 4 < size:
                    sock.sendto(packet, peer)
                    return content
