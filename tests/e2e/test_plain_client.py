"""A local system that is not ours: Debian's `amqp-publish` drops documents that arrive."""

import asyncio
import shutil

import pytest

RECIPIENT = "kz.zhambyl.shu"

pytestmark = pytest.mark.skipif(
    shutil.which("amqp-publish") is None, reason="amqp-tools is not installed"
)


async def publish(user, body: bytes, **headers: str) -> int:
    """Hand a document over by the command; return its exit code."""
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    process = await asyncio.create_subprocess_exec(
        "amqp-publish", "-u", user.url, "-e", "outbound", "-r", user.system, "-p",
        "-C", "application/json", *words, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await process.communicate(body)
    return process.returncode or 0


async def test_its_document_is_delivered(country):
    """What the command drops reaches the recipient's inbox byte for byte, and the status comes."""
    document = country.document()
    facts = {"type": "attendance.daily/1", "to": RECIPIENT, "drop-id": "plain-1"}
    assert await publish(country.sender, document, **facts) == 0
    status = await country.sender.until_status("plain-1", "delivered")
    assert await country.recipient.until_received(status["packet"]) == document


async def test_the_same_drop_again_makes_no_second_packet(country):
    """A client that is not sure repeats its drop: the first packet is named again."""
    document = country.document()
    facts = {"type": "attendance.daily/1", "to": RECIPIENT, "drop-id": "plain-2"}
    await publish(country.sender, document, **facts)
    first = await country.sender.until_status("plain-2", "delivered")
    await publish(country.sender, document, **facts)
    again = await country.sender.until_status("plain-2", "known")
    assert again["packet"] == first["packet"]


async def test_a_faulty_document_is_told_by_its_field(country):
    """What the type does not allow comes back as a fault that names the field, not as a packet."""
    facts = {"type": "attendance.daily/1", "to": RECIPIENT, "drop-id": "plain-3"}
    await publish(country.sender, b'{"pupils": []}', **facts)
    fault = await country.sender.until_status("plain-3", "fault")
    assert (bool(fault["field"]), bool(fault["problem"]), "packet" in fault) == (True, True, False)


async def test_a_drop_without_type_and_address_is_told_too(country):
    """Headers left out are a fault like any other; the next drop is taken."""
    await publish(country.sender, b"{}", **{"drop-id": "plain-4"})
    fault = await country.sender.until_status("plain-4", "fault")
    assert fault["field"] == "type"
