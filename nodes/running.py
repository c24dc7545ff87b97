"""Runs a node's daemon as this process: logs, the ready file, and nothing else."""

import asyncio
import resource
from pathlib import Path

from nodes.config import load_config
from nodes.daemon import Daemon
from nodes.telemetry import configure_logs


def run_node(config_path: Path, ready_file: Path | None = None) -> None:
    """Run until SIGTERM. Writes the status port into `ready_file` once the node takes packets.

    Raises Fatal, for the command line to translate.
    """
    forbid_core_dumps()
    config = load_config(config_path)
    configure_logs(config.log)
    daemon = Daemon(config)

    def announce() -> None:
        if ready_file is not None:
            draft = ready_file.with_suffix(".new")
            draft.write_text(f"{daemon.status_port}\n", encoding="ascii")
            draft.replace(ready_file)

    asyncio.run(daemon.run(announce))


def forbid_core_dumps() -> None:
    """Let this process leave no image of its memory: keys are in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
