"""The plan of a node's broker, and what is said where a broker departs from it."""

import copy

import pytest

from exchange.departures import Departure, Fault, differences
from exchange.topology import Names, hash_password, link_key, plan, plan_child, read_queues

NAMES = Names(address="kz.akmola.burabay", daemon_user="daemon")
DNS = "school-7.burabay.akmola.kz.bbaj.internal"


def make_plan(children=("school-7", "school-8"), systems=("sis",)):
    hashes = {system: hash_password(system, "secret") for system in systems}
    return plan(NAMES, children, hashes, daemon_password_hash=hash_password("daemon", "secret"))


def rows(definitions, section, **wanted):
    return [r for r in definitions[section] if all(r[k] == v for k, v in wanted.items())]


def test_child_logs_in_by_dns_name_without_password():
    """A child's user is its certificate's DNS name, has no password, and is limited."""
    (user,) = rows(make_plan(), "users", name=DNS)
    assert user["password_hash"] == ""
    assert user["limits"] == {"max-connections": 3, "max-channels": 6}


def test_child_rights_are_literal():
    """A child configures nothing, writes `up`, and reads its own queue, dots escaped."""
    (right,) = rows(make_plan(), "permissions", user=DNS)
    assert (right["configure"], right["write"], right["read"]) == (
        "^$",
        "^up$",
        r"^down\.school-7$",
    )


def test_child_writes_one_routing_key():
    """A child's topic right is its own label on `up`, and reading nothing."""
    (right,) = rows(make_plan(), "topic_permissions", user=DNS)
    assert (right["exchange"], right["write"], right["read"]) == ("up", "^school-7$", "^$")


def test_daemon_configures_nothing():
    """The daemon's user has no right to configure, in either virtual host."""
    rights = rows(make_plan(), "permissions", user="daemon")
    assert [right["configure"] for right in rights] == ["^$", "^$"]


def test_daemon_binds_the_brokers_log_and_nothing_else():
    """It may write the queue of strangers and read the log's AMQP exchange, each by its name."""
    (right,) = rows(make_plan(), "permissions", user="daemon", vhost="bbaj")
    assert right["write"] == "^(down|strangers)$"
    assert right["read"] == r"^(up\..*|dead|strangers|amq\.rabbitmq\.log)$"


def test_what_the_daemon_has_bound_is_no_departure():
    """The log's binding is made by the daemon, where there is a log: the plan lacks it."""
    planned = make_plan()
    found = copy.deepcopy(planned)
    found["bindings"].append(
        {
            "source": "amq.rabbitmq.log",
            "vhost": "bbaj",
            "destination": "strangers",
            "routing_key": "notice",
        }
    )
    assert differences(planned, found) == []


def test_up_is_topic():
    """`up` is a topic AMQP exchange: on a direct one the broker asks no topic rights."""
    assert rows(make_plan(), "exchanges", name="up")[0]["type"] == "topic"


def test_every_queue_is_quorum_and_durable():
    """All queues are durable quorum queues; only downlinks have a single active consumer."""
    queues = make_plan()["queues"]
    assert all(q["durable"] and q["arguments"]["x-queue-type"] == "quorum" for q in queues)
    single = {q["name"] for q in queues if "x-single-active-consumer" in q["arguments"]}
    assert single == {"down.school-7", "down.school-8"}


def test_every_policy_dead_letters_at_least_once():
    """Whatever reaches a limit is refused or dead-lettered, never dropped, but for log lines."""
    for policy in make_plan()["policies"]:
        definition = policy["definition"]
        if policy["pattern"] == "^strangers$":
            assert definition == {"max-length": 1000, "overflow": "drop-head"}
            continue
        assert definition["overflow"] == "reject-publish"
        assert definition["dead-letter-strategy"] == "at-least-once"
        assert definition["delivery-limit"] == 1000


def test_every_queue_of_links_and_systems_falls_under_one_policy():
    """Each queue but `dead` matches exactly one policy of its virtual host."""
    import re  # noqa: PLC0415

    definitions = make_plan()
    for queue in definitions["queues"]:
        policies = rows(definitions, "policies", vhost=queue["vhost"])
        matching = [p for p in policies if re.match(p["pattern"], queue["name"])]
        assert len(matching) == (0 if queue["name"] == "dead" else 1)


def test_local_system_rights():
    """A local system writes `outbound` under its own key and reads its inbox and status."""
    definitions = make_plan()
    (right,) = rows(definitions, "permissions", user="sis")
    (topic,) = rows(definitions, "topic_permissions", user="sis")
    assert (right["configure"], right["write"], right["read"]) == (
        "^$",
        "^outbound$",
        r"^(inbox|status)\.sis$",
    )
    assert (topic["exchange"], topic["write"]) == ("outbound", "^sis$")


def test_plan_is_the_same_twice():
    """Planning twice gives one plan, password hashes included."""
    assert make_plan() == make_plan()


def test_names_that_are_no_labels_are_refused():
    """A name that could widen a pattern is refused."""
    with pytest.raises(ValueError, match="is no label"):
        make_plan(children=("school.*",))


def test_system_with_the_daemons_name_is_refused():
    """A local system may not share the daemon's user."""
    with pytest.raises(ValueError, match="name of the daemon"):
        make_plan(systems=("daemon",))


def test_password_hash_as_rabbitmq_computes_it():
    """The hash is base64 of salt and SHA-256 of salt and password."""
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415

    raw = base64.b64decode(hash_password("daemon", "secret"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"secret").digest()


def test_an_empty_password_is_refused():
    """A password that is empty, as from a missing file, is no password."""
    with pytest.raises(ValueError, match="empty password"):
        hash_password("sis", "")


def test_what_the_probe_asks_for():
    """The daemon reads one queue from each child, and `dead`."""
    assert read_queues(["school-7"]) == ["up.school-7", "dead"]


MOVED = "kz.abai.school-9"
MOVED_DNS = "school-9.abai.kz.bbaj.internal"


def test_a_childs_key_is_its_label_unless_it_has_moved():
    """Queues and routing key bear the label; a node that hangs elsewhere its whole address."""
    assert link_key(NAMES.address, f"{NAMES.address}.school-7") == "school-7"
    assert link_key(NAMES.address, MOVED) == MOVED


def test_a_moved_child_is_named_by_its_address():
    """Its rights, queues and bindings bear the address whole, and match nothing else."""
    definitions = make_plan(children=(MOVED,))
    (right,) = rows(definitions, "permissions", user=MOVED_DNS)
    (topic,) = rows(definitions, "topic_permissions", user=MOVED_DNS)
    bound = {(row["destination"], row["routing_key"]) for row in definitions["bindings"]}
    assert (right["write"], right["read"]) == ("^up$", r"^down\.kz\.abai\.school-9$")
    assert (topic["exchange"], topic["write"]) == ("up", r"^kz\.abai\.school-9$")
    assert {(f"up.{MOVED}", MOVED), (f"down.{MOVED}", MOVED)} <= bound


def test_a_guest_may_use_the_link_of_the_child_it_is_to_become():
    """An invitation's user writes and reads what the child will, and has no queue of its own."""
    guest = "a1.enrolment.burabay.akmola.kz.bbaj.internal"
    hashed = hash_password("daemon", "secret")
    planned = plan(NAMES, ["school-7"], {}, daemon_password_hash=hashed, guests={guest: "school-7"})
    (right,) = rows(planned, "permissions", user=guest)
    (topic,) = rows(planned, "topic_permissions", user=guest)
    assert (right["read"], topic["write"]) == (r"^down\.school-7$", "^school-7$")
    assert planned["queues"] == make_plan(children=("school-7",), systems=())["queues"]


def test_one_childs_plan_is_its_part_of_the_whole():
    """What is imported for one child is what the whole plan has for it, and nothing else."""
    whole, part = make_plan(), plan_child(NAMES, "school-7")
    without = make_plan(children=("school-8",))
    added = {
        section: [row for row in whole[section] if row not in without[section]] for section in whole
    }
    assert part == added


def test_one_childs_plan_departs_from_nothing_beside_it():
    """A broker with more than the one child has no differences from that child's plan."""
    assert differences(plan_child(NAMES, "school-7"), make_plan()) == []


@pytest.mark.parametrize("key", ["school.*", "kz..x", "", "#"])
def test_what_is_no_link_key_is_planned_for_nobody(key):
    """What could widen a pattern is refused in the plan for one child, too."""
    with pytest.raises(ValueError, match="is no label"):
        plan_child(NAMES, key)


def test_no_differences_to_itself():
    """A broker that has the plan has no differences."""
    assert differences(make_plan(), make_plan()) == []


LIMITS = {"max-connections": 3, "max-channels": 6}
DEPARTURES = {
    "queue gone": (lambda d: d["queues"].pop(0), Departure("queues", "bbaj / dead", Fault.MISSING)),
    "right widened": (
        lambda d: rows(d, "permissions", user=DNS)[0].update(read=".*"),
        Departure(
            "permissions", f"{DNS} / bbaj", Fault.DIFFERENT, "read", ".*", r"^down\.school-7$"
        ),
    ),
    "password set": (
        lambda d: rows(d, "users", name=DNS)[0].update(password_hash="AAAA"),
        Departure("users", DNS, Fault.NEEDLESS_PASSWORD),
    ),
    "password changed": (
        lambda d: rows(d, "users", name="sis")[0].update(password_hash="AAAA"),
        Departure("users", "sis", Fault.OTHER_PASSWORD),
    ),
    "limits lifted": (
        lambda d: rows(d, "users", name=DNS)[0].update(limits={}),
        Departure("users", DNS, Fault.DIFFERENT, "limits", {}, LIMITS),
    ),
    "policy loosened": (
        lambda d: rows(d, "policies", name="links")[0].update(pattern="^up"),
        Departure("policies", "bbaj / links", Fault.DIFFERENT, "pattern", "^up", r"^(up|down)\..*"),
    ),
    "stranger let in": (
        lambda d: d["permissions"].append(
            {"user": "guest", "vhost": "bbaj", "configure": ".*", "write": ".*", "read": ".*"}
        ),
        Departure("permissions", "guest / bbaj", Fault.UNPLANNED),
    ),
    "binding beyond the plan": (
        lambda d: d["bindings"].append(
            {
                "source": "up",
                "vhost": "bbaj",
                "destination": "up.school-8",
                "destination_type": "queue",
                "routing_key": "#",
                "arguments": {},
            }
        ),
        Departure("bindings", "bbaj / up / up.school-8 / #", Fault.UNPLANNED),
    ),
}


@pytest.mark.parametrize("name", DEPARTURES)
def test_each_departure_is_named(name):
    """A broker that departs from the plan in one thing gives one departure that names it."""
    change, expected = DEPARTURES[name]
    exported = copy.deepcopy(make_plan())
    change(exported)
    assert differences(make_plan(), exported) == [expected]


def test_older_brokers_write_tags_as_text():
    """Tags as text, and limits left out, are no departures."""
    exported = copy.deepcopy(make_plan())
    for user in exported["users"]:
        user["tags"] = ""
        if not user["limits"]:
            del user["limits"]
    assert differences(make_plan(), exported) == []


def test_other_virtual_hosts_do_not_concern_us():
    """What stands in a virtual host that we did not plan is nobody's fault."""
    exported = copy.deepcopy(make_plan())
    exported["vhosts"].append({"name": "/"})
    exported["permissions"].append(
        {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    )
    assert differences(make_plan(), exported) == []
