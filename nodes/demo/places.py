"""Who is who in the demo: made-up schools under real names of oblasts, a city and districts."""

import msgspec

from nodes.sandbox.network import NodeSpec
from schemas.documents.registry import (
    ADMIN_ORDER,
    ATTENDANCE_DAILY,
    DOCUMENT_FILE,
    PERFORMANCE_PERIOD,
)

REPUBLIC = "kz"
OBLAST = "kz.zhambyl"
CITY = "kz.zhambyl.taraz"
DISTRICT = "kz.zhambyl.taraz.auliyeata"
SCHOOL = "kz.zhambyl.taraz.auliyeata.school-7"
LEAF = "kz.zhambyl.taraz.auliyeata.school-24"
ROGUE = "kz.zhambyl.taraz.auliyeata.school-13"
OTHER_OBLAST = "kz.akmola"
OTHER_DISTRICT = "kz.akmola.burabay"
OTHER_SCHOOL = "kz.akmola.burabay.school-3"
NOBODY = "kz.akmola.burabay.school-99"
"""An address that no registry has."""

AUTHORITIES = (REPUBLIC, OBLAST, OTHER_OBLAST)

TIERS = {
    REPUBLIC: "republic",
    OBLAST: "oblast",
    CITY: "city",
    DISTRICT: "district",
    SCHOOL: "school",
    LEAF: "school",
    OTHER_OBLAST: "oblast",
    OTHER_DISTRICT: "district",
    OTHER_SCHOOL: "school",
}
SYSTEMS = {
    REPUBLIC: "statistics",
    OBLAST: "department",
    DISTRICT: "office",
    SCHOOL: "register",
    OTHER_DISTRICT: "office",
    OTHER_SCHOOL: "register",
}
"""Local systems with queues of their own; the leaf has none, the rest only pass on."""

SPECS = tuple(
    NodeSpec(address, systems=(SYSTEMS[address],) if address in SYSTEMS else (), tier=tier)
    for address, tier in TIERS.items()
)


class Flow(msgspec.Struct, frozen=True):
    """Documents of one type from one node to another, one every `every_s` seconds."""

    name: str
    sender: str
    recipient: str
    type: str
    count: int
    every_s: float


JOINING = (SCHOOL, LEAF, OTHER_SCHOOL)
"""Schools that join by invitation once the nodes above them are up."""

RETURNED = "a document returned for its content"
INTACT = "intact frame after a damaged copy"

FLOWS = (
    Flow("attendance, school to district", SCHOOL, DISTRICT, ATTENDANCE_DAILY, 14, 2.5),
    Flow("attendance, school to oblast", SCHOOL, OBLAST, ATTENDANCE_DAILY, 14, 2.5),
    Flow("attendance, school to republic", SCHOOL, REPUBLIC, ATTENDANCE_DAILY, 14, 2.5),
    Flow("attendance, leaf school to district", LEAF, DISTRICT, ATTENDANCE_DAILY, 10, 3.0),
    Flow("performance, school to oblast", SCHOOL, OBLAST, PERFORMANCE_PERIOD, 6, 5.0),
    Flow("performance, leaf school to republic", LEAF, REPUBLIC, PERFORMANCE_PERIOD, 6, 5.0),
    Flow("attendance, Burabay to republic", OTHER_SCHOOL, REPUBLIC, ATTENDANCE_DAILY, 12, 2.5),
    Flow("order, republic to school", REPUBLIC, SCHOOL, ADMIN_ORDER, 6, 4.0),
    Flow("order, republic to leaf school", REPUBLIC, LEAF, ADMIN_ORDER, 4, 6.0),
    Flow("order, republic to Burabay", REPUBLIC, OTHER_SCHOOL, ADMIN_ORDER, 4, 6.0),
    Flow("file, school to school in the other oblast", SCHOOL, OTHER_SCHOOL, DOCUMENT_FILE, 6, 5.0),
    Flow("file, school in the other oblast to leaf", OTHER_SCHOOL, LEAF, DOCUMENT_FILE, 4, 6.0),
    Flow("order, to an address that nobody has", REPUBLIC, NOBODY, ADMIN_ORDER, 1, 1.0),
)
"""The day's traffic: about a hundred documents, spread so that every fault meets some."""

WHILE_SUSPENDED = Flow("file, from a suspended school", LEAF, OBLAST, DOCUMENT_FILE, 1, 0.1)
REINSTATED = Flow("file, once it is reinstated", LEAF, OBLAST, DOCUMENT_FILE, 1, 0.1)
