"""Code lists built into every node, with their versions and their names in three languages.

Lists that documents use (`CODE_LISTS`) grow: a node may hold newer ones than stand here, so a
document says which version it was written with, and a code is judged by that version (R-18.3i).
"""

# ruff: noqa: RUF001 - Kazakh and Russian names are the data

import re
from enum import StrEnum

import msgspec


class Language(StrEnum):
    """Languages that the network speaks."""

    KK = "kk"
    RU = "ru"
    EN = "en"


class Names(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What something is called in Kazakh, Russian and English."""

    kk: str
    ru: str
    en: str

    def in_language(self, language: Language) -> str:
        """Return the name in one language."""
        return {Language.KK: self.kk, Language.RU: self.ru, Language.EN: self.en}[language]


class Tier(StrEnum):
    """A node's level; from above to below."""

    REPUBLIC = "republic"
    OBLAST = "oblast"
    CITY = "city"
    DISTRICT = "district"
    SCHOOL = "school"

    @property
    def rank(self) -> int:
        """0 for the republic, rising downwards."""
        return tuple(Tier).index(self)

    def is_above(self, other: "Tier") -> bool:
        """Say whether a node of this tier may be the parent of one of `other`: strictly higher."""
        return self.rank < other.rank


TIER_NAMES: dict[Tier, Names] = {
    Tier.REPUBLIC: Names(kk="республика", ru="республика", en="republic"),
    Tier.OBLAST: Names(kk="облыс", ru="область", en="oblast"),
    Tier.CITY: Names(kk="қала", ru="город", en="city"),
    Tier.DISTRICT: Names(kk="аудан", ru="район", en="district"),
    Tier.SCHOOL: Names(
        kk="мектеп, білім беру ұйымы",
        ru="школа, организация образования",
        en="school, education organisation",
    ),
}


class Section(StrEnum):
    """A section of the archive (§36); `net` is the network's own, outside the list of 15."""

    S01 = "S01"
    S02 = "S02"
    S03 = "S03"
    S04 = "S04"
    S05 = "S05"
    S06 = "S06"
    S07 = "S07"
    S08 = "S08"
    S09 = "S09"
    S10 = "S10"
    S11 = "S11"
    S12 = "S12"
    S13 = "S13"
    S14 = "S14"
    S15 = "S15"
    NET = "net"


ARCHIVE_SECTIONS: tuple[Section, ...] = tuple(one for one in Section if one is not Section.NET)
"""The 15 sections that a business packet may name."""

SECTION_NAMES: dict[Section, Names] = {
    Section.S01: Names(
        kk="балалардың құқықтарын қорғау",
        ru="защита прав детей",
        en="protection of children's rights",
    ),
    Section.S02: Names(
        kk="инклюзивті білім беру",
        ru="инклюзивное образование",
        en="inclusive education",
    ),
    Section.S03: Names(
        kk="мектепке дейінгі тәрбие және оқыту",
        ru="дошкольное воспитание и обучение",
        en="preschool upbringing and education",
    ),
    Section.S04: Names(
        kk="бастауыш білім",
        ru="начальное образование",
        en="primary education",
    ),
    Section.S05: Names(
        kk="негізгі орта білім",
        ru="основное среднее образование",
        en="basic secondary education",
    ),
    Section.S06: Names(
        kk="орта білім, соның ішінде: жалпы орта білім",
        ru="среднее образование, в том числе общее среднее образование",
        en="secondary education, including general secondary",
    ),
    Section.S07: Names(
        kk="техникалық және кәсіптік білім",
        ru="техническое и профессиональное образование",
        en="technical and vocational education",
    ),
    Section.S08: Names(
        kk="қосымша білім",
        ru="дополнительное образование",
        en="additional education",
    ),
    Section.S09: Names(
        kk="орта білімнен кейінгі білім",
        ru="послесреднее образование",
        en="post-secondary education",
    ),
    Section.S10: Names(
        kk="жоғары білім",
        ru="высшее образование",
        en="higher education",
    ),
    Section.S11: Names(
        kk="жоғары оқу орнынан кейінгі білім",
        ru="послевузовское образование",
        en="postgraduate education",
    ),
    Section.S12: Names(
        kk="ғылыми іздену",
        ru="научные исследования",
        en="scientific research",
    ),
    Section.S13: Names(
        kk="тәжірибе және жұмысқа орналасу",
        ru="практика и трудоустройство",
        en="practical placement and employment",
    ),
    Section.S14: Names(
        kk="біліктілікті арттыру және кадрларды қайта даярлау",
        ru="повышение квалификации и переподготовка кадров",
        en="professional development and retraining of staff",
    ),
    Section.S15: Names(
        kk="республиканың оқу орындарындағы оқушылар үлгерімінің электрондық тізілімі",
        ru="электронный реестр успеваемости учащихся учебных заведений республики",
        en="electronic register of the performance of pupils in the republic's educational"
        " institutions",
    ),
    Section.NET: Names(
        kk="желінің өз пакеттері",
        ru="собственные пакеты сети",
        en="the network's own packets",
    ),
}


class Flow(StrEnum):
    """A traffic class (§8); `result` is served first."""

    INFO = "info"
    ADMIN = "admin"
    OPER = "oper"
    TECH = "tech"
    RESULT = "result"


FLOW_NAMES: dict[Flow, Names] = {
    Flow.INFO: Names(kk="ақпараттық", ru="информационный", en="information"),
    Flow.ADMIN: Names(kk="әкімшілік", ru="административный", en="administrative"),
    Flow.OPER: Names(kk="оперативтік", ru="оперативный", en="operational"),
    Flow.TECH: Names(kk="технологиялық", ru="технологический", en="technological"),
    Flow.RESULT: Names(kk="нәтижелілік", ru="результативность", en="results"),
}


class RetentionClass(StrEnum):
    """How long a packet is kept; term, start and basis stand in the policy (schemas.retention)."""

    R1 = "R1"
    R5 = "R5"
    R10 = "R10"
    R50 = "R50"
    PERM = "PERM"
    QRN = "QRN"


RETENTION_NAMES: dict[RetentionClass, Names] = {
    RetentionClass.R1: Names(kk="1 жыл", ru="1 год", en="1 year"),
    RetentionClass.R5: Names(
        kk="оқу жылы аяқталғаннан кейін 5 жыл",
        ru="5 лет после окончания учебного года",
        en="5 years after the end of the school year",
    ),
    RetentionClass.R10: Names(kk="10 жыл", ru="10 лет", en="10 years"),
    RetentionClass.R50: Names(kk="50 жыл", ru="50 лет", en="50 years"),
    RetentionClass.PERM: Names(kk="тұрақты", ru="постоянно", en="permanent"),
    RetentionClass.QRN: Names(
        kk="карантин: 1 жыл және келіспеушілік аяқталғанға дейін",
        ru="карантин: 1 год и до завершения разногласия",
        en="quarantine: 1 year, and until the dispute is closed",
    ),
}
"""What the classes are called; binding are the terms of the policy."""


class Code(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of a code list: its names, and the versions from and before which it holds."""

    names: Names
    since: int = 1
    withdrawn: int | None = None


class CodeList(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A code list that documents use: every code it ever had, with its life in versions."""

    name: str
    version: int
    codes: dict[str, Code]

    def find_version_fault(self, version: int) -> str | None:
        """Return why this node cannot read documents of that version of the list, or None."""
        if version > self.version:
            return (
                f"list {self.name} version {version} is not known here;"
                f" the latest known one is {self.version}"
            )
        return None

    def find_fault(self, code: str, version: int) -> str | None:
        """Return why `code` does not stand in that version of the list, or None."""
        entry = self.codes.get(code)
        if entry is None:
            return (
                f"code {show(code)} is not in list {self.name} version {version};"
                f" it has {self._excerpt(version)}"
            )
        if entry.since > version:
            return (
                f"code {show(code)} joins list {self.name} with version {entry.since};"
                f" the document names version {version}"
            )
        if entry.withdrawn is not None and entry.withdrawn <= version:
            return (
                f"code {show(code)} was withdrawn from list {self.name}"
                f" in version {entry.withdrawn}"
            )
        return None

    def codes_of(self, version: int) -> tuple[str, ...]:
        """Return the codes that hold in one version."""
        return tuple(code for code in self.codes if self.find_fault(code, version) is None)

    def _excerpt(self, version: int) -> str:
        codes = self.codes_of(version)
        return ", ".join(codes[:_EXCERPT_CODES]) + (" ..." if len(codes) > _EXCERPT_CODES else "")


_EXCERPT_CODES = 12
_SHOWN_MAX = 64
_LONG_NUMBER = re.compile("[0-9]{6}")


def show(value: str) -> str:
    """Return a value for a message: short, and hidden where it may be an IIN in a wrong field."""
    return "(a number)" if _LONG_NUMBER.search(value) else _quoted(value[:_SHOWN_MAX])


def _quoted(value: str) -> str:
    return "'" + "".join(c if c.isprintable() else "?" for c in value) + "'"


class AttendanceMark(StrEnum):
    """How a pupil took part in a school day, after Ed-Fi; a bare "absent" is not enough."""

    PRESENT = "present"
    PARTIAL = "partial"
    TARDY = "tardy"
    EARLY_DEPARTURE = "early-departure"
    ABSENT_EXCUSED = "absent-excused"
    ABSENT_UNEXCUSED = "absent-unexcused"


class SourceKind(StrEnum):
    """What a record rests on (R-37)."""

    REGISTER = "register"
    ID_DOC = "id_doc"
    CERTIFICATE = "certificate"


class ReturnReason(StrEnum):
    """Why a document is returned for its content; never an outcome of authentication."""

    SOURCE_MISSING = "source-missing"
    IDENTIFIER_WRONG = "identifier-wrong"
    CODE_UNKNOWN = "code-unknown"
    PERIOD_WRONG = "period-wrong"
    INCOMPLETE = "incomplete"
    DUPLICATE = "duplicate"
    CONTRADICTORY = "contradictory"
    NOT_OURS = "not-ours"
    OTHER = "other"


ATTENDANCE_MARKS = CodeList(
    name="attendance-mark",
    version=1,
    codes={
        AttendanceMark.PRESENT: Code(Names(kk="қатысты", ru="присутствовал", en="present")),
        AttendanceMark.PARTIAL: Code(
            Names(kk="ішінара қатысты", ru="присутствовал частично", en="partial attendance")
        ),
        AttendanceMark.TARDY: Code(Names(kk="кешікті", ru="опоздал", en="tardy")),
        AttendanceMark.EARLY_DEPARTURE: Code(
            Names(kk="ерте кетті", ru="ушёл раньше", en="early departure")
        ),
        AttendanceMark.ABSENT_EXCUSED: Code(
            Names(
                kk="себепті жағдаймен болмады",
                ru="отсутствовал по уважительной причине",
                en="excused absence",
            )
        ),
        AttendanceMark.ABSENT_UNEXCUSED: Code(
            Names(
                kk="себепсіз болмады",
                ru="отсутствовал без уважительной причины",
                en="unexcused absence",
            )
        ),
    },
)

SOURCE_KINDS = CodeList(
    name="source-kind",
    version=1,
    codes={
        SourceKind.REGISTER: Code(Names(kk="тізілім", ru="реестр", en="register")),
        SourceKind.ID_DOC: Code(
            Names(
                kk="идентификациялық құжат",
                ru="документ, удостоверяющий личность",
                en="identity document",
            )
        ),
        SourceKind.CERTIFICATE: Code(Names(kk="анықтама", ru="справка", en="certificate")),
    },
)

LANGUAGES = CodeList(
    name="language",
    version=1,
    codes={
        Language.KK: Code(Names(kk="қазақ тілі", ru="казахский язык", en="Kazakh")),
        Language.RU: Code(Names(kk="орыс тілі", ru="русский язык", en="Russian")),
        Language.EN: Code(Names(kk="ағылшын тілі", ru="английский язык", en="English")),
    },
)

RETURN_REASONS = CodeList(
    name="return-reason",
    version=1,
    codes={
        ReturnReason.SOURCE_MISSING: Code(
            Names(
                kk="жазбаның негізі көрсетілмеген",
                ru="не указано основание записи",
                en="a record without a valid source",
            )
        ),
        ReturnReason.IDENTIFIER_WRONG: Code(
            Names(
                kk="сәйкестендіру нөмірі қате",
                ru="неверный идентификационный номер",
                en="a wrong identification number",
            )
        ),
        ReturnReason.CODE_UNKNOWN: Code(
            Names(kk="белгісіз код", ru="неизвестный код", en="an unknown code")
        ),
        ReturnReason.PERIOD_WRONG: Code(
            Names(kk="есепті кезең қате", ru="неверный отчётный период", en="a wrong period")
        ),
        ReturnReason.INCOMPLETE: Code(
            Names(kk="деректер толық емес", ru="неполные данные", en="incomplete data")
        ),
        ReturnReason.DUPLICATE: Code(
            Names(kk="қайталанған жазба", ru="повторная запись", en="a record given twice")
        ),
        ReturnReason.CONTRADICTORY: Code(
            Names(
                kk="деректер бір-біріне қайшы",
                ru="данные противоречат друг другу",
                en="contradictory data",
            )
        ),
        ReturnReason.NOT_OURS: Code(
            Names(
                kk="құжат бұл алушыға арналмаған",
                ru="документ предназначен не этому получателю",
                en="not meant for this receiver",
            )
        ),
        ReturnReason.OTHER: Code(
            Names(kk="мәтінде көрсетілген басқа себеп", ru="иное, см. текст", en="other, see text")
        ),
    },
)

SUBJECTS = CodeList(
    name="subject",
    version=1,
    codes={
        "kaz": Code(Names(kk="қазақ тілі", ru="казахский язык", en="Kazakh language")),
        "kli": Code(Names(kk="қазақ әдебиеті", ru="казахская литература", en="Kazakh literature")),
        "rus": Code(Names(kk="орыс тілі", ru="русский язык", en="Russian language")),
        "rli": Code(Names(kk="орыс әдебиеті", ru="русская литература", en="Russian literature")),
        "eng": Code(Names(kk="ағылшын тілі", ru="английский язык", en="English language")),
        "mat": Code(Names(kk="математика", ru="математика", en="mathematics")),
        "alg": Code(Names(kk="алгебра", ru="алгебра", en="algebra")),
        "gmt": Code(Names(kk="геометрия", ru="геометрия", en="geometry")),
        "inf": Code(Names(kk="информатика", ru="информатика", en="informatics")),
        "phy": Code(Names(kk="физика", ru="физика", en="physics")),
        "chm": Code(Names(kk="химия", ru="химия", en="chemistry")),
        "bio": Code(Names(kk="биология", ru="биология", en="biology")),
        "nat": Code(Names(kk="жаратылыстану", ru="естествознание", en="natural science")),
        "geo": Code(Names(kk="география", ru="география", en="geography")),
        "his": Code(
            Names(kk="Қазақстан тарихы", ru="история Казахстана", en="history of Kazakhstan")
        ),
        "wld": Code(Names(kk="дүниежүзі тарихы", ru="всемирная история", en="world history")),
        "law": Code(Names(kk="құқық негіздері", ru="основы права", en="basics of law")),
        "art": Code(Names(kk="көркем еңбек", ru="художественный труд", en="arts and crafts")),
        "mus": Code(Names(kk="музыка", ru="музыка", en="music")),
        "pe": Code(Names(kk="дене шынықтыру", ru="физическая культура", en="physical education")),
    },
)

CODE_LISTS: dict[str, CodeList] = {
    one.name: one for one in (ATTENDANCE_MARKS, SUBJECTS, SOURCE_KINDS, RETURN_REASONS, LANGUAGES)
}
"""The lists that documents refer to, by name; a node may hold newer versions of them."""

VERSIONS: dict[str, int] = {
    "tier": 1,
    "section": 2,  # 2: S15 was added in 2009
    "flow": 2,  # 2: `result` was added in 2009
    "retention-class": 1,
    **{one.name: one.version for one in CODE_LISTS.values()},
}
"""Every built-in list and its version, as `bbaj` shows them."""
