"""Rights of people: a policy that can be read, and a log that is complete."""

from collections import Counter
from collections.abc import AsyncIterator

from nodes.accesses import names_waiting
from nodes.cli.seen import Seen, fault, ok, warn
from nodes.config import Config
from nodes.errors import ConfigurationFault
from nodes.rights import load_policy
from nodes.said import Said, joined


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the policy on rights, and at uses of commands that are not recorded yet."""
    yield _policy(config)
    waiting, name = names_waiting(config.data), Said("doctor.accesses")
    if waiting:
        found = Said("doctor.found.accesses-wait", {"count": len(waiting)})
        yield warn(name, found, Said("doctor.advice.see-database"))
    else:
        yield ok(name, Said("doctor.found.no-access-waits"))


def _policy(config: Config) -> Seen:
    path, name = config.rights.policy, Said("doctor.policy")
    if path is None:
        return warn(name, Said("doctor.found.no-policy"), Said("doctor.advice.write-policy"))
    try:
        policy = load_policy(path)
    except ConfigurationFault as error:
        return fault(name, error)
    roles = Counter(policy.users.values())
    shown = joined(
        Said("doctor.found.role", {"count": count, "role": Said(f"print.roles.{role}")})
        for role, count in sorted(roles.items())
    )
    facts = {"number": policy.act.number, "date": policy.act.date, "roles": shown}
    return ok(name, Said("doctor.found.policy", facts))
