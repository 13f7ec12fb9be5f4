"""The errors of Millrace, named by what the caller must do.

    MillraceError
    ├── RejectError      the record is bad: dead letter, go on
    ├── RetryError       the outside is down: back off, then the same batch again
    │   ├── StaleError   the registry moved while the batch was decoded: decode it again
    │   └── UnsureError  the connection was cut during a commit: ask what became of it
    ├── StopError        a person must act: say it once, exit non-zero
    │   ├── FencedError  somebody else has taken this position over
    │   └── UsageError   a setting or an argument is wrong (exit code 2)
    └── NotFoundError    the thing asked for is not there
        └── GoneError    it was there, and retention has removed it

Caught in four places only: the pump, the back-off, the command line, the HTTP problem mapping.
"""


class MillraceError(Exception):
    """Root of every error that Millrace raises on purpose."""


class RejectError(MillraceError):
    """A message, or one element of it, cannot become a reading.

    `reason` is one of the codes of the specs; `element` names the part at fault (`''` is the
    whole message); `detail` is a sentence for a person and never holds payload bytes.
    """

    def __init__(
        self, reason: str, detail: str = "", *, element: str = "", index: int | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.element = element
        self.index = index


class RetryError(MillraceError):
    """The outside is down or busy; the same call may succeed later."""


class StaleError(RetryError):
    """The registry changed between decoding and commit; the batch must be decoded again."""


class UnsureError(RetryError):
    """Whether a commit has happened is not known; the same call again finds out."""


class StopError(MillraceError):
    """Going on would be wrong; a person must act.

    `remedy` is what that person can do; the command line prints it behind the message.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class FencedError(StopError):
    """Another process owns this position; this one may not commit any more."""


class UsageError(StopError):
    """A setting or an argument is wrong."""

    exit_code = 2


class NotFoundError(MillraceError):
    """The thing asked for does not exist."""


class GoneError(NotFoundError):
    """The thing asked for was removed by retention."""
