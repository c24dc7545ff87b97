"""Rights of people: a policy that can be read, and a log that is complete."""

from collections import Counter
from collections.abc import AsyncIterator

from nodes.accesses import names_waiting
from nodes.cli.registry_shapes import Finding
from nodes.config import Config
from nodes.doctor.findings import fault, ok, warn
from nodes.errors import ConfigurationFault
from nodes.rights import load_policy


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the policy on rights, and at uses of commands that are not recorded yet."""
    yield _policy(config)
    waiting = names_waiting(config.data)
    if waiting:
        what = "see the database; the next command that reaches it brings them there"
        yield warn("accesses", f"{len(waiting)} wait to be recorded", what)
    else:
        yield ok("accesses", "none waits to be recorded")


def _policy(config: Config) -> Finding:
    path = config.rights.policy
    if path is None:
        found = "none: who can read the node's files may use every command, and no use is logged"
        return warn("policy on rights", found, "write one, and name it in [rights]")
    try:
        policy = load_policy(path)
    except ConfigurationFault as error:
        return fault("policy on rights", error)
    roles = Counter(policy.users.values())
    shown = ", ".join(f"{count} {role}" for role, count in sorted(roles.items()))
    return ok("policy on rights", f"act {policy.act.number} of {policy.act.date}: {shown}")
