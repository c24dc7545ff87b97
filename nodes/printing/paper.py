"""A page as PDF (PDF/A-2u): set by WeasyPrint, which may open nothing but pictures in the page."""

import base64
import binascii
import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import weasyprint
from weasyprint.text.fonts import FontConfiguration
from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

from nodes.printing.page import PNG_ADDRESS

VARIANT = "pdf/a-2u"
_CODE_POINT = re.compile(r"\.notdef .*\(U\+([0-9A-Fa-f]+)\)")
PAGE_CHARACTERS_MAX = 4 * 1024 * 1024
"""So much is a register of thousands; setting it takes minutes, and 2 GB of memory."""


class Closed(URLFetcher):  # type: ignore[misc] # weasyprint has no types
    """Fetches nothing: no file, no host. Only what is written in the page itself is there."""

    def fetch(self, url: str, headers: Any = None) -> URLFetcherResponse:  # noqa: ANN401 - as there
        """Return a picture of ours; anything else ends the printing."""
        del headers
        if not url.startswith(PNG_ADDRESS):
            raise FatalURLFetchingError(f"a page asked for {url[:60]!r}, and may ask for nothing")
        try:
            png = base64.b64decode(url[len(PNG_ADDRESS) :], validate=True)
        except binascii.Error as error:
            raise FatalURLFetchingError("a picture in a page is damaged") from error
        return URLFetcherResponse(url, io.BytesIO(png), {"Content-Type": "image/png"}, 200)


def make_pdf(page: str) -> tuple[bytes, int]:
    """Return a page as PDF, and how many sheets it has.

    Characters that no font of this machine shows are written out: `[U+13000]`, never a blank box.
    """
    assert len(page) <= PAGE_CHARACTERS_MAX, "the caller has said so"
    data, sheets, missing = _set(page)
    if missing:
        data, sheets, _ = _set(page.translate({each: f"[U+{each:04X}]" for each in missing}))
    return data, sheets


def _set(page: str) -> tuple[bytes, int, set[int]]:
    """Return PDF, number of sheets, and the code points that no font has."""
    with _unshown() as missing, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its own profile open
        html = weasyprint.HTML(string=page, url_fetcher=Closed(), base_url=None)
        document = html.render(font_config=FontConfiguration(), pdf_variant=VARIANT)
        data: bytes = document.write_pdf(pdf_variant=VARIANT)
    return data, len(document.pages), missing


@contextlib.contextmanager
def _unshown() -> Iterator[set[int]]:
    """Collect the code points that the typesetter complains of; its other words are for screens."""
    missing: set[int] = set()

    def note(record: logging.LogRecord) -> bool:
        missing.update(int(each, 16) for each in _CODE_POINT.findall(record.getMessage()))
        return False

    logger = logging.getLogger("weasyprint")
    logger.addFilter(note)
    try:
        yield missing
    finally:
        logger.removeFilter(note)
