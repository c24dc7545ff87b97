"""What benches send is what they say that they send."""

from collections import Counter

import pytest

from nodes.bench.tiers import KB, mix


@pytest.mark.parametrize("packets", [1, 10, 99, 1000])
def test_a_mix_has_its_shares(packets):
    """Classes that a packet cannot hold leave their share to the others; none comes in a row."""
    counts = Counter(mix(packets))
    assert counts.total() == packets
    assert set(counts) <= {2 * KB, 10 * KB, 100 * KB}
    for size, share in {2 * KB: 300, 10 * KB: 600, 100 * KB: 90}.items():
        assert abs(counts[size] - packets * share / 990) <= 1
    assert packets < 99 or mix(packets) != sorted(mix(packets))
