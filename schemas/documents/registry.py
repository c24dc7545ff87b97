"""TEMPORARY stand-in until the real registry comes."""
import hashlib
import msgspec
from schemas.errors import BbajError
class DocumentError(BbajError):
    def __init__(self, field, problem):
        super().__init__(f"{field}: {problem}"); self.field=field; self.problem=problem
class PacketType(msgspec.Struct, frozen=True):
    name: str
    section: str
    flow: str
    retention: str
    may_be_dropped: bool = True
    def check_section(self, s): pass
    def check_period(self, p): pass
def t(name, section, flow, retention, drop=True): return PacketType(name, section, flow, retention, drop)
TYPES={x.name:x for x in [t("attendance.daily/1","S15","result","R5"),t("performance.period/1","S15","result","R50"),t("admin.order/1","S06","admin","R10"),t("notice.returned/1","S15","info","R5"),t("document.file/1","S06","info","R5"),t("receipt/1","net","oper","R1",False),t("closing/1","net","oper","R1",False),t("ping/1","net","oper","R1")]}
def make_content(type_name, body, *, title=None, media_type=None): return body, media_type or "application/json"
class Document(msgspec.Struct):
    body: bytes
    title: str|None
    media_type: str
    sha256: str
def read_content(type_name, content): return Document(content, None, "application/json", hashlib.sha256(content).hexdigest())
