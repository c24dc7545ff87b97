"""One packet of each type, sent between two real nodes and printed in three languages."""

import itertools
from pathlib import Path

import pytest

from harness.cli_run import bbaj
from harness.network import private_network
from harness.printouts import LETTERS, SAMPLES, pdf_text, strange_fonts
from nodes.cli.shapes import Sending
from nodes.demo.printing import file_name, print_each
from nodes.sandbox.network import NodeSpec
from nodes.texts import catalogue
from schemas.answers import CLOSING, PING, RECEIPT
from schemas.codes import Language
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    NOTICE_RETURNED,
    PERFORMANCE_PERIOD,
    TYPES,
)

pytestmark = pytest.mark.slow

TOP, BELOW = "kz", "kz.akmola"
SENT = (ADMIN_ORDER, ATTENDANCE_DAILY, DOCUMENT_FILE, NOTICE_RETURNED, PERFORMANCE_PERIOD, PING)
PRINTED = (*SENT, RECEIPT, CLOSING)
EACH = list(itertools.product(PRINTED, Language))


async def send(config: Path, type_name: str) -> None:
    """Send a document of a type and wait until it is delivered."""
    sending = ["send", "-", "--type", type_name, "--to", TOP]
    words = ["ping", TOP] if type_name == PING else sending
    if TYPES[type_name].section is None:
        words += ["--section", "S06"]
    if type_name == DOCUMENT_FILE:
        words += ["--media-type", "text/plain", "--title", f"Файл {LETTERS}"]
    given = LETTERS.encode() if type_name == DOCUMENT_FILE else SAMPLES[type_name]
    done = await bbaj(*words, "--wait=30", "--json", config=config, given=given)
    assert done.shape(Sending).state == "delivered"


@pytest.fixture(scope="module")
async def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("print")
    specs = [NodeSpec(TOP, systems=("ministry",)), NodeSpec(BELOW)]
    async with private_network(specs) as network:
        await network.start(TOP, BELOW)
        for type_name in SENT:
            await send(network.nodes[BELOW].config_path, type_name)
        stores = {each: str(network.nodes[each].config_path) for each in (TOP, BELOW)}
        pages = await print_each(stores, folder)
    assert set(PRINTED) <= pages.keys()
    return folder


@pytest.mark.parametrize(("type_name", "language"), EACH)
async def test_the_text_of_each_is_found(folder, type_name, language):
    """Headings, names and values of each print are there to be searched, in its language."""
    text = pdf_text(folder / file_name(type_name, language))
    said = catalogue(language)
    for key in ("part.content", "part.seal", "part.check", "times.clock", "system"):
        assert said[f"print.{key}"] in text
    assert TYPES[type_name].names.in_language(language).lower() in text.lower()
    assert said["print.seal.no-certificate"] not in text
    assert "[U+" not in text  # else a character is in no font


@pytest.mark.parametrize("language", Language)
async def test_every_letter_of_kazakh_is_found(folder, language):
    """The letters that only Kazakh has stand in the print as they were written."""
    for type_name in (DOCUMENT_FILE, NOTICE_RETURNED):
        assert LETTERS in pdf_text(folder / file_name(type_name, language))


@pytest.mark.parametrize(("type_name", "language"), EACH)
async def test_every_font_is_embedded(folder, type_name, language):
    """No print needs a font of its reader's machine."""
    assert strange_fonts(folder / file_name(type_name, language)) == []
