"""Every size, count and age limit, with its unit last in its name (docs/protocol.md clause 12).

Two kinds stand here: what the format fixes for everybody (constants), and the defaults that a
node's configuration may change (`Limits`). Ages are microseconds, like every `Instant`.
"""

import msgspec

from schemas.moments import DAY, HOUR, MINUTE, SECOND

HEADER_BYTES_MAX = 16 * 1024
PAYLOAD_BYTES_MAX = 1024 * 1024
"""A packet's payload as it travels; larger files travel in parts (clause 5.10)."""
PART_CONTENT_BYTES = 256 * 1024
"""Of each part's content but the last one's, which has the rest."""
PARTS_MAX = 16 * 1024
WHOLE_BYTES_MAX = PARTS_MAX * PART_CONTENT_BYTES
"""A file that travels in parts: 4 GiB."""
SIGNATURE_BYTES_MAX = 8 * 1024
FRAME_BYTES_MAX = 8 + HEADER_BYTES_MAX + 2 + SIGNATURE_BYTES_MAX + PAYLOAD_BYTES_MAX
SALT_BYTES = 16
BUNDLE_FRAMES_MAX = 512
BUNDLE_BYTES_MAX = 1024 * 1024
"""A bundle closes before it would pass this; a larger frame travels alone."""
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
EXT_DEPTH_MAX = 4
INTEGER_MAX = 2**53 - 1


class Limits(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What one node allows; docs/operations.md lists the defaults."""

    receipt_overdue_fast_us: int = 1 * HOUR
    receipt_overdue_bulk_us: int = 24 * HOUR
    resend_first_us: int = 15 * MINUTE
    resend_most_us: int = 6 * HOUR
    receipt_repeats_max: int = 10
    late_limit_us: int = 200 * DAY
    hold_limit_us: int = 72 * HOUR
    ask_every_us: int = 1 * MINUTE
    time_window_ahead_us: int = 10 * MINUTE
    crl_grace_us: int = 7 * DAY
    link_window_frames: int = 4096
    link_window_bytes: int = 32 * 1024 * 1024
    heartbeat_s: int = 10
    reconnect_most_s: int = 60
    checkpoint_due_us: int = 10 * SECOND
    checkpoint_wait_us: int = 1 * SECOND
    """So long a checkpoint that was shown waits for others, so that one commit takes many."""
    hello_round_trip_us: int = 1 * MINUTE
    refused_bytes_kept_per_link: int = 64 * 1024 * 1024
    held_bytes_per_link: int = 64 * 1024 * 1024
    answers_per_minute_per_link: int = 600
    sweep_every_us: int = 5 * SECOND
