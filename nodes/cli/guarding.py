"""Asks for every command, before it runs, whether this person may use it, and in which language."""

import asyncio
from pathlib import Path
from typing import Any

import typer
import typer.core

SPEECHLESS = frozenset({"node run"})
"""What says nothing to people: no language that is named wrongly keeps a daemon from its work."""


class Guarded(typer.core.TyperCommand):
    """A command that is asked for its rights first, and for the language that it is to speak."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - of typer
        """Run the command. Raises NotPermitted, ConfigurationFault, with nothing done yet."""
        from nodes.config import spoken_language  # noqa: PLC0415 - keeps --help quick

        command = " ".join(ctx.command_path.split()[1:])
        if command not in SPEECHLESS:
            spoken_language()
        asyncio.run(admit(command, ctx.params.get("config")))
        return super().invoke(ctx)


def guard(app: typer.Typer) -> None:
    """Let every command of a program be asked for its rights."""
    for command in app.registered_commands:
        command.cls = Guarded
    for group in app.registered_groups:
        assert group.typer_instance is not None
        guard(group.typer_instance)


async def admit(command: str, config_file: Path | None) -> None:
    """Record a use of a command. Raises NotPermitted, or ConfigurationFault for a bad policy.

    Where no configuration can be read there is no policy: the command itself asks for it, or needs
    none.
    """
    from nodes import rights  # noqa: PLC0415 - keeps --help quick

    need = rights.NEEDS.get(command)
    if need is not None and need.role is None:
        return
    from nodes.config import config_path, load_config  # noqa: PLC0415
    from nodes.errors import ConfigurationFault  # noqa: PLC0415

    try:
        config = load_config(config_path(config_file))
    except ConfigurationFault:
        return
    policy = config.rights.policy
    nothing_to_journal = need is None or not need.leaf or not config.data.exists()
    if policy is None and nothing_to_journal:
        return
    login = rights.login_name()
    refusal = None
    if policy is not None:
        refusal = rights.judge(command, rights.load_policy(policy), policy, login)

    from nodes import accesses  # noqa: PLC0415
    from nodes.clock import now  # noqa: PLC0415

    administrative = need is not None and (need.leaf or command in rights.INSTRUCTED)
    journaled = administrative if refusal else need is not None and need.leaf
    use = accesses.use_of(config, command, login, now(), allowed=refusal is None, leaf=journaled)
    await accesses.record(config, use)
    if refusal is not None:
        raise refusal
