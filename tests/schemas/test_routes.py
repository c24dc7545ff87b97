import pytest

from schemas.routes import route_allows

HERE = "kz.akmola.burabay"
CHILD = "kz.akmola.burabay.school-7"
PARENT = "kz.akmola"

ALLOWED = [
    (CHILD, CHILD, HERE),
    (CHILD, CHILD, "kz.akmola.burabay.school-8"),
    (CHILD, CHILD, "kz.abai"),
    (CHILD, f"{CHILD}.annex", "kz"),
    (PARENT, "kz.abai", HERE),
    (PARENT, "kz", CHILD),
    (PARENT, "kz.akmola.kokshetau", HERE),
]
FORBIDDEN = [
    (CHILD, "kz.akmola.burabay.school-8", HERE),
    (CHILD, HERE, "kz"),
    (CHILD, "kz.akmola.burabay.school-77", HERE),
    (CHILD, CHILD, CHILD),
    (CHILD, CHILD, f"{CHILD}.annex"),
    (PARENT, "kz.abai", "kz.akmola"),
    (PARENT, "kz.abai", "kz.akmola.kokshetau"),
    (PARENT, CHILD, HERE),
    (PARENT, HERE, CHILD),
    (PARENT, "kz", "kz.akmola.burabay2"),
    ("kz.abai", "kz.abai", HERE),
    ("kz.akmola.kokshetau", "kz.akmola.kokshetau", HERE),
    (HERE, CHILD, PARENT),
]


@pytest.mark.parametrize(("neighbour", "from_", "to"), ALLOWED)
def test_allowed(neighbour, from_, to):
    """A link brings what belongs on it."""
    assert route_allows(HERE, neighbour, from_, to) is True


@pytest.mark.parametrize(("neighbour", "from_", "to"), FORBIDDEN)
def test_forbidden(neighbour, from_, to):
    """A link brings nothing else: no foreign sender, no detour, no look-alike, no stranger."""
    assert route_allows(HERE, neighbour, from_, to) is False
