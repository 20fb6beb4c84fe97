"""Whether a TFTP server is there."""

import socket

from tftpy.TftpPacketTypes import TftpPacketRRQ


def answers(host: str, port: int, timeout: float = 0.5) -> bool:
    """True when something answers a request for a file that nobody has, as servers do with an
    error."""
    packet = TftpPacketRRQ()
    packet.filename, packet.mode = "nethvoice-doctor", "octet"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        try:
            # Not connected: the answer comes from another port of the server.
            sock.sendto(packet.encode().buffer, (host, port))
            return bool(sock.recv(516))
        except OSError:
            return False
