"""Everything that can go wrong with a push. The texts are for the person who asked for it."""


class PushFailed(Exception):
    """The gateway has not confirmed that it took its configuration.

    `status` is the HTTP status that says so: 502 when the gateway refuses, 504 when it does not
    answer, 422 when nothing can be pushed to it.
    """

    status = 502


class NoDialogue(PushFailed):
    """It is not known how to make such a gateway fetch its file."""

    status = 422


class DeviceUnreachable(PushFailed):
    """No route to the gateway, or it refuses the connection."""


class LoginRefused(PushFailed):
    """The gateway takes none of the logins."""


class TransferRefused(PushFailed):
    """The gateway could not fetch its file by TFTP."""


class DeviceRefused(PushFailed):
    """The gateway answered a command with an error."""


class UnexpectedAnswer(PushFailed):
    """The gateway said something that the dialogue does not foresee."""


class ConnectionLost(PushFailed):
    """The gateway ended the connection in the middle of the dialogue."""


class DeviceSilent(PushFailed):
    """No answer in the time that a step, or the whole push, may take."""

    status = 504
