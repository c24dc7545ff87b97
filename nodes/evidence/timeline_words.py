"""The words of the timelines, in Kazakh, Russian and English.

Each phrase is filled with the fields of its leaf, `what` being which frame it is about. Words do
not bend with what is filled in, so that a phrase fits whatever the field says.
"""

# ruff: noqa: RUF001 - Kazakh and Russian phrases are the data

from collections.abc import Mapping

import msgspec


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One language's words."""

    title: str
    ends: str
    journal: str
    exported: str
    frames: Mapping[str, str]
    """By the kind of folder: `.`, `receipt`, `closing`."""
    verdicts: Mapping[str, str]
    events: Mapping[str, str]
    """By the kind of leaf, `cosigned` and `tracked` besides."""
    leaf: str


WORDS = {
    "kk": Words(
        title="Оқиғалар тізбегі: {id} ({type})",
        ends="{sender} торабынан {recipient} торабына",
        journal="{by} торабының журналы бойынша",
        exported="Көшірме жасалған уақыт: {at}",
        frames={".": "құжат", "receipt": "қолхат", "closing": "жабу хабары"},
        verdicts={"accepted": "қабылданды", "refused": "қабылданбады"},
        events={
            "sent": "{what}: {from} торабы қол қойып, жіберді",
            "held": "{what}: {via} торабынан келді, тексеру кейінге қалдырылды: {detail}",
            "relayed": "{what}: {via} торабынан келді, әрі қарай жіберілді",
            "received": "{what}: {via} торабынан келді, қабылданды",
            "refused": "{what}: қабылданбады: {reason} {detail}",
            "released": "{what}: жергілікті жүйеге берілді",
            "confirmed": "{what}: {by} торабының жауабы келді: {verdict}",
            "closed": "{what}: алмасу аяқталды, жіберуші қолхатты алды",
            "overdue": "{what}: қолхат мерзімінде келмеді",
            "expired": "{what}: қолданылу мерзімі өтті",
            "custody": "{neighbour}: сақтауға қабылдады",
            "timestamp": "уақыт таңбасы: {authority}, журналдың {size} жазбасы",
            "renewal": "уақыт таңбасы: {authority}, журналдың {size} жазбасы, SHA-512",
            "cosigned": "{witness}: журналдың {size} жазбасын куәландырды",
            "epoch": "журналдың {epoch}-дәуірі басталды",
            "tracked": "{from}: құжат туралы мәлімет берді",
        },
        leaf="жазба",
    ),
    "ru": Words(
        title="Ход событий: {id} ({type})",
        ends="от узла {sender} узлу {recipient}",
        journal="По журналу узла {by}",
        exported="Выписка сделана: {at}",
        frames={".": "документ", "receipt": "квитанция", "closing": "закрытие"},
        verdicts={"accepted": "принято", "refused": "отказано"},
        events={
            "sent": "{what}: подписано и отправлено узлом {from}",
            "held": "{what}: поступило от узла {via}, проверка отложена: {detail}",
            "relayed": "{what}: поступило от узла {via}, передано дальше",
            "received": "{what}: поступило от узла {via}, принято",
            "refused": "{what}: отказано: {reason} {detail}",
            "released": "{what}: передано местной системе",
            "confirmed": "{what}: пришёл ответ узла {by}: {verdict}",
            "closed": "{what}: обмен завершён, квитанция у отправителя",
            "overdue": "{what}: квитанция не пришла в срок",
            "expired": "{what}: срок действия истёк",
            "custody": "{neighbour}: принято на хранение",
            "timestamp": "метка времени: {authority}, записей журнала: {size}",
            "renewal": "метка времени: {authority}, записей журнала: {size}, SHA-512",
            "cosigned": "{witness}: заверено записей журнала: {size}",
            "epoch": "началась эпоха журнала {epoch}",
            "tracked": "{from}: дана справка о документе",
        },
        leaf="запись",
    ),
    "en": Words(
        title="Timeline: {id} ({type})",
        ends="from {sender} to {recipient}",
        journal="By the journal of {by}",
        exported="Exported: {at}",
        frames={".": "document", "receipt": "receipt", "closing": "closing"},
        verdicts={"accepted": "accepted", "refused": "refused"},
        events={
            "sent": "{what}: signed and sent by {from}",
            "held": "{what}: came from {via}, held: {detail}",
            "relayed": "{what}: came from {via}, passed on",
            "received": "{what}: came from {via}, accepted",
            "refused": "{what}: refused: {reason} {detail}",
            "released": "{what}: handed to a local system",
            "confirmed": "{what}: the answer of {by} came: {verdict}",
            "closed": "{what}: the exchange is closed, the sender has the receipt",
            "overdue": "{what}: no receipt by its deadline",
            "expired": "{what}: expired",
            "custody": "{neighbour}: took it into custody",
            "timestamp": "time-stamp of {authority} over {size} leaves",
            "renewal": "time-stamp of {authority} over {size} leaves, SHA-512",
            "cosigned": "{witness}: cosigned {size} leaves",
            "epoch": "epoch {epoch} of the journal began",
            "tracked": "{from}: said what it knows of the document",
        },
        leaf="leaf",
    ),
}
"""By language code; `certificate`, `crl` and `policy` leaves are no events of the packet."""
