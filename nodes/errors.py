"""Errors of the daemon and the command line, each with its exit code (docs/operations.md).

Fatal
├── ConfigurationFault   the configuration file is wrong; every fault is listed      exit 78
├── ServiceDown          a database or broker did not answer within its time         exit 69
├── NotFound             what the command names is not in the record                 exit 66
├── NotDelivered         a wait ended without delivery                               exit 75
├── NotPermitted         the policy on rights does not let this person               exit 81
├── NotAdmitted          an invitation that does not let this machine join           exit 82
├── BackupDamaged        a backup is not whole, or not what its node has sealed      exit 65
├── DatabaseOccupied     the database to restore into is not empty                   exit 83
└── JudgementFailed      a demo or check found a fault                               exit 1
"""

from collections.abc import Sequence

from schemas.errors import Fatal
from schemas.invitations import JOIN_NEXT_STEP, JoinReason


class ConfigurationFault(Fatal):
    """The configuration file is wrong."""

    exit_code = 78

    def __init__(self, faults: Sequence[str]) -> None:
        """List every fault at once."""
        super().__init__("\n".join(faults))
        self.faults = list(faults)


class ServiceDown(Fatal):
    """A database or broker did not answer."""

    exit_code = 69


class NotFound(Fatal):
    """What the command names is not in the record."""

    exit_code = 66


class NotDelivered(Fatal):
    """The wait for an answer ended without one."""

    exit_code = 75


class NotPermitted(Fatal):
    """The policy on rights does not let this person use this command."""

    exit_code = 81


class NotAdmitted(Fatal):
    """An invitation does not let this machine join, by its own look or by the parent's word."""

    exit_code = 82

    def __init__(self, reason: JoinReason, detail: str) -> None:
        """Keep the reason apart; the words say what to do next."""
        super().__init__(f"{reason}: {detail}: {JOIN_NEXT_STEP[reason]}")
        self.reason = reason
        self.detail = detail


class BackupDamaged(Fatal):
    """A backup is not whole, or not what its node has sealed."""

    exit_code = 65


class DatabaseOccupied(Fatal):
    """The database to restore into holds something; nothing was changed."""

    exit_code = 83


class JudgementFailed(Fatal):
    """A run was judged and found wanting."""

    exit_code = 1
