"""Documents that mean harm are text on paper: nothing in them runs, opens or calls anything."""

import io
import json
import socket
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin
from weasyprint.urls import FatalURLFetchingError

from harness.printouts import dossier_of, file_of, picture, sheet_of
from nodes.printing.blocks import Listing, Notice, Picture
from nodes.printing.files import PICTURE_PIXELS_MAX, SIDE_PIXELS_MAX, small_png
from nodes.printing.page import PNG_ADDRESS, address_of, make_page
from nodes.printing.paper import Closed, make_pdf
from nodes.printing.speaker import visible
from nodes.printing.tree import LEAVES_MAX, LINE_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from schemas.documents.registry import ADMIN_ORDER, DOCUMENT_FILE

ORDER = json.loads(dossier_of(ADMIN_ORDER).opened.content)


def order_page(text: str) -> str:
    """Return the page of an order with a text in every place that takes one."""
    texts = [{"language": "kk", "title": text[:300], "text": text}]
    signed = {"position": text[:300], "name": text[:300]}
    document = ORDER | {"texts": texts, "signed_by": signed, "number": text[:64]}
    content = json.dumps(document).encode()
    return make_page(sheet_of(dossier_of(ADMIN_ORDER, content)))


def blocks_of(media_type: str, data: bytes, title: str = "a file"):
    """Return what is shown of a file, behind its facts."""
    content = file_of(media_type, data, title)
    return sheet_of(dossier_of(DOCUMENT_FILE, content)).content.blocks[1:]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "</p><img src=x onerror=alert(1)>",
        "<link rel=attachment href=file:///etc/passwd>",
        '"><style>@import url(http://example.org)</style>',
        "</title></style><iframe src=//example.org>",
    ],
)
def test_markup_is_text(text):
    """Tags in a document are shown, never obeyed."""
    page = order_page(text)
    assert text not in page
    assert "&lt;" in page
    for name in ("<script", "<img src=x", "<link", "<iframe"):
        assert name not in page
    assert page.count("<style>") == 1


@pytest.mark.parametrize("text", ["{{ 7 * 191 }}", "{% raw %}", "{0.__class__}", "{what}", "%(a)s"])
def test_templates_are_text(text):
    """What looks like a place to be filled in stays as it was written."""
    page = order_page(text)
    assert text in page
    assert "1337" not in page


def test_pages_carry_no_way_out():
    """A page forbids scripts and requests to whoever opens it in a browser."""
    page = order_page("harmless")
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abc\u202exe.txt", "abc[U+202E]xe.txt"),
        ("a\x1b[31mb", "a[U+001B][31mb"),
        ("a\u200bb", "a[U+200B]b"),
        ("a\ud800b", "a[U+D800]b"),
        ("a\u00a0b", "a b"),
        ("two\r\nlines\tand more", "two\nlines\tand more"),
        ("Ұлы дала", "Ұлы дала"),
    ],
)
def test_what_shows_nothing_is_written_out(text, shown):
    """Characters that hide, or turn a line around, cannot make a page say something else."""
    assert visible(text) == shown
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "media_type",
    ["image/svg+xml", "text/html", "application/pdf", "application/zip", "application/xhtml+xml"],
)
def test_active_files_are_named_alone(media_type):
    """Files that could do anything are shown by title, size and digest."""
    assert [type(block) for block in blocks_of(media_type, b"<svg onload=alert(1)>")] == [Notice]


def test_text_that_is_none_is_named_alone():
    """A text file that cannot be read as text is shown by its digest."""
    assert [type(block) for block in blocks_of("text/plain", b"\xff\xfe\x00\x00")] == [Notice]
    assert [type(block) for block in blocks_of("text/plain", b"PK\x03\x04\0")] == [Notice]


def test_text_is_capped_and_the_cap_told():
    """Of a large text the beginning is shown, and how much there is; no line is endless."""
    notice, listing = blocks_of("text/csv", b"x" * (TEXT_CHARACTERS_MAX + 5))
    assert str(TEXT_CHARACTERS_MAX + 5) in notice.text
    lines = listing.text.split("\n")
    assert max(map(len, lines)) == LINE_CHARACTERS_MAX
    assert len("".join(lines)) == TEXT_CHARACTERS_MAX


def test_csv_and_text_are_shown():
    """A table in text form stands in the page letter by letter."""
    (listing,) = blocks_of("text/csv", "\ufeffЖСН;Баға\r\n1;5".encode())
    assert listing == Listing("ЖСН;Баға\n1;5")


# ------------------------------------------------------------------ pictures


@pytest.mark.parametrize(("media_type", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG")])
def test_pictures_are_shown_decoded_and_encoded_anew(media_type, kind):
    """A picture is one of our own making, with its title below."""
    (shown,) = blocks_of(media_type, picture(kind), "Сурет")
    assert isinstance(shown, Picture)
    assert shown.caption == "Сурет"
    with Image.open(io.BytesIO(shown.png)) as made:
        assert (made.format, made.size) == ("PNG", (40, 30))


def test_nothing_but_pixels_is_left():
    """Texts, profiles and whatever stands behind the picture are gone."""
    secret = PngImagePlugin.PngInfo()
    secret.add_text("comment", "secret words")
    small = small_png(picture(pnginfo=secret) + b"appended", "PNG")
    assert b"secret" not in small
    assert b"appended" not in small


def test_large_pictures_are_made_smaller():
    """A scan has as many pixels as a printer shows."""
    with Image.open(io.BytesIO(small_png(picture("JPEG", (4000, 1000)), "JPEG"))) as made:
        assert max(made.size) == SIDE_PIXELS_MAX


def giant() -> bytes:
    """Return a PNG of a few bytes that says it has more pixels than anybody can hold."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    made = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        made += struct.pack(">I", len(data)) + name + data
        made += struct.pack(">I", zlib.crc32(name + data))
    return made


@pytest.mark.parametrize(
    "data",
    [giant(), b"", b"\x89PNG\r\n\x1a\n", picture("JPEG"), picture()[:50], b"GIF89a" + bytes(40)],
    ids=["giant", "empty", "header alone", "another kind", "cut off", "gif"],
)
def test_bad_pictures_are_named_alone(data):
    """What is too large, damaged or of another kind is shown by title, size and digest."""
    assert PICTURE_PIXELS_MAX < 60_000**2
    assert [type(block) for block in blocks_of("image/png", data)] == [Notice]


# ------------------------------------------------------------------ trees


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[" * 200 + b"]" * 200,
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b"[" + b"1," * LEAVES_MAX + b"1]",
        b'{"a": "\\ud800"}',
        b'{"a": 1',
    ],
    ids=["unclosed", "deep list", "deep object", "large", "surrogate", "cut off"],
)
def test_json_that_no_table_holds_is_shown_as_text(content):
    """Trees too deep or too large, and what is no JSON at all, are given as text, and so said."""
    first, *_, last = sheet_of(dossier_of("made.up/1", content)).content.blocks
    assert isinstance(first, Notice)
    assert isinstance(last, Listing)


def test_long_values_are_cut():
    """One value never fills a hundred pages."""
    (_, value) = (
        sheet_of(dossier_of("made.up/1", b'{"a":"' + b"x" * 9000 + b'"}')).content.blocks[1].rows[0]
    )
    assert value.endswith("… (+5000)")


# ------------------------------------------------------------------ the typesetter


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "https://example.org/a.png",
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:text/html,x",
        f"{PNG_ADDRESS}%%%",
    ],
)
def test_the_typesetter_opens_nothing(address):
    """Whatever a page asks for, but a picture in itself, ends the printing."""
    with pytest.raises(FatalURLFetchingError):
        Closed().fetch(address)


def test_a_picture_in_the_page_is_opened():
    """The one thing that a page may name is a picture that it brings."""
    assert Closed().fetch(address_of(picture())).read() == picture()


def test_no_connection_is_ever_made():
    """A page that names a host makes no call, and no PDF."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        with pytest.raises(FatalURLFetchingError):
            make_pdf(f'<img src="{address}">')
        with pytest.raises(BlockingIOError):
            server.accept()
