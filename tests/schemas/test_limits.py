"""Limits: each with its unit in its name, consistent with each other."""

import msgspec
import pytest

from schemas import limits
from schemas.limits import Limits
from schemas.moments import DAY, HOUR, MINUTE, SECOND

UNITS = ("_us", "_s", "_max", "_frames", "_bytes", "_link")
CONSTANTS = {
    name: value for name, value in vars(limits).items() if name.endswith(("_MAX", "_BYTES"))
}


@pytest.mark.parametrize("field", Limits.__struct_fields__)
def test_every_limit_ends_in_its_unit(field):
    """A reader of a configuration sees what a number counts."""
    assert field.endswith(UNITS)


@pytest.mark.parametrize("field", Limits.__struct_fields__)
def test_every_limit_is_positive(field):
    """A default of nothing would stop the node."""
    assert getattr(Limits(), field) > 0


def test_defaults_are_those_of_the_protocol():
    """The table of the protocol's clause 12.2, and the code, say the same."""
    ours = Limits()
    assert (ours.receipt_overdue_fast_us, ours.receipt_overdue_bulk_us) == (HOUR, 24 * HOUR)
    assert (ours.resend_first_us, ours.resend_most_us) == (15 * MINUTE, 6 * HOUR)
    assert (ours.late_limit_us, ours.hold_limit_us) == (200 * DAY, 72 * HOUR)
    assert (ours.time_window_ahead_us, ours.crl_grace_us) == (10 * MINUTE, 7 * DAY)
    assert (ours.link_window_frames, ours.link_window_bytes) == (4096, 32 * 1024 * 1024)
    assert (ours.receipt_repeats_max, ours.checkpoint_due_us) == (10, 10 * SECOND)


def test_shorter_waits_are_shorter():
    """What must end before something else does so by default."""
    ours = Limits()
    assert ours.resend_first_us < ours.receipt_overdue_fast_us < ours.receipt_overdue_bulk_us
    assert ours.resend_first_us < ours.resend_most_us < ours.hold_limit_us
    assert ours.hello_round_trip_us < ours.time_window_ahead_us


def test_what_is_nested_fits():
    """A frame fits a message alone in its bundle, and a bundle fits a link's window."""
    assert limits.FRAME_BYTES_MAX < limits.MESSAGE_BYTES_MAX - 1024 * 1024
    assert Limits().link_window_bytes > limits.BUNDLE_BYTES_MAX
    assert Limits().link_window_frames >= limits.BUNDLE_FRAMES_MAX
    assert limits.PAYLOAD_BYTES_MAX < limits.FRAME_BYTES_MAX


def test_lengths_fit_their_fields():
    """Header and signature lengths are u16; integers are exact in every reader's numbers."""
    assert limits.HEADER_BYTES_MAX < 1 << 16
    assert limits.SIGNATURE_BYTES_MAX < 1 << 16
    assert int(float(limits.INTEGER_MAX)) == limits.INTEGER_MAX


def test_no_other_limits():
    """A configuration with a limit that nobody reads is told so."""
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"sweep_every_s": 5}, Limits)
