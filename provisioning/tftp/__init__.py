"""Device files by TFTP (RFC 1350, 2347, 2348, 2349), read-only.

Packets and the states of a transfer are tftpy's. Its receive loop and its opening of files are
replaced: an odd datagram ends them, and so do a few hundred requests that nobody acknowledges.
"""
