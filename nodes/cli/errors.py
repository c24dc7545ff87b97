"""Errors of the command line, each with its exit code (nodes.cli.exits).

Fatal
├── UsageFault           the words of a command do not fit together              exit 64
├── DocumentFault        a document that its type does not allow                 exit 67
├── PacketRefused        the packet waited for was refused, or has expired       exit 68
├── FileFault            a file cannot be read or written                        exit 71
├── WrongUser            the node's data belong to another user                  exit 77
├── StillWaiting         the daemon has not done yet what it was told            exit 79
└── NotDone              the daemon has declined what it was told                exit 80
"""

from schemas.errors import Fatal


class UsageFault(Fatal):
    """The words of a command do not fit together."""

    exit_code = 64


class DocumentFault(Fatal):
    """A document that its type does not allow; its author mends it."""

    exit_code = 67


class PacketRefused(Fatal):
    """The packet has its verdict, and it is not the one that was waited for."""

    exit_code = 68


class FileFault(Fatal):
    """A file that the command was given cannot be read or written."""

    exit_code = 71


class WrongUser(Fatal):
    """The command would leave files that the daemon's user cannot read."""

    exit_code = 77


class StillWaiting(Fatal):
    """The wait ended before the daemon had done what it was told; it will, once it runs."""

    exit_code = 79


class NotDone(Fatal):
    """The daemon has declined what it was told, and says why."""

    exit_code = 80
