"""The server as a process of its own: the whole of `nethvoice tftp`, or a child of `serve`."""

import logging
import multiprocessing
import signal
import socket
import threading
from types import FrameType

from nethvoice import logs
from nethvoice.settings import PREFIX, Settings, SettingsError
from provisioning.tftp.server import TftpServer, open_port
from provisioning.tftp_requests import RequestRecorder

log = logging.getLogger(__name__)

_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_END_WAIT = 5.0


def open_configured_port(settings: Settings) -> socket.socket:
    """Make the folder if it is missing and open the port. Raises SettingsError."""
    root = settings.tftp_folder
    where = f"{settings.tftp_host} port {settings.tftp_port} (UDP)"
    try:
        if settings.tftp_root is None:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.mkdir(parents=True, exist_ok=True, mode=0o750)
        return open_port(settings.tftp_host, settings.tftp_port)
    except FileExistsError:
        raise SettingsError(f"{PREFIX}TFTP_ROOT: {root} is not a folder") from None
    except PermissionError as error:
        reason = error.strerror
        raise SettingsError(
            f"cannot make {root} or listen on {where}: {reason}; ports below 1024 need root or "
            f"CAP_NET_BIND_SERVICE, else set {PREFIX}TFTP_PORT"
        ) from None
    except OSError as error:
        raise SettingsError(f"cannot listen on {where}: {error.strerror or error}") from None


def serve(settings: Settings, sock: socket.socket) -> None:
    """Serve on an open port until SIGTERM or SIGINT, or the end of the parent process that
    `multiprocessing` knows of."""
    requests = RequestRecorder(settings)
    server = TftpServer(
        sock,
        settings.tftp_folder,
        transfers=settings.tftp_transfers,
        client_transfers=settings.tftp_client_transfers,
        client_failures=settings.tftp_client_failures,
        on_end=requests.note,
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop()

    parent = multiprocessing.parent_process()
    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches a whole terminal; a child waits until its parent ends it.
    signal.signal(signal.SIGINT, stop if parent is None else signal.SIG_IGN)
    log.info("TFTP serves %s on port %d", settings.tftp_folder, server.port)
    try:
        server.run(None if parent is None else parent.sentinel)
    finally:
        requests.close()


def _open_some_port(settings: Settings) -> socket.socket:
    """As `open_configured_port`; but nobody has chosen the default, so another will do when a
    second service runs on this host."""
    try:
        return open_configured_port(settings)
    except SettingsError as error:
        if "tftp_port" in settings.model_fields_set:
            raise
        log.warning("TFTP takes a free port: %s", error)
        return open_configured_port(settings.model_copy(update={"tftp_port": 0}))


def _child(settings: Settings, sock: socket.socket) -> None:
    logs.configure(settings.log_level, settings.log_format)
    serve(settings, sock)


class TftpProcess:
    """A child that serves, and is started again should it die. It has an interpreter to itself,
    so that a busy API does not slow it down; it ends with this process, however that ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sock = _open_some_port(settings)
        self.port = int(self._sock.getsockname()[1])
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="tftp", daemon=True)
        self._process = self._start()
        self._keeper.start()

    def _start(self) -> multiprocessing.process.BaseProcess:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_child, args=(self._settings, self._sock), daemon=True)
        process.start()
        return process

    def _keep(self) -> None:
        pause = _PAUSE
        while True:
            self._process.join()
            if self._stopping.wait(pause):
                return
            log.error("the TFTP server died (%s), it is started again", self._process.exitcode)
            pause = min(pause * 2, _LONGEST_PAUSE)
            self._process = self._start()

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._process.pid

    def stop(self) -> None:
        """End the child."""
        self._stopping.set()
        self._process.terminate()
        self._keeper.join(_END_WAIT)
        if self._process.is_alive():
            self._process.kill()
        self._process.join(_END_WAIT)
        self._sock.close()
