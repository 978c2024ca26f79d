from collections import Counter

from w2sprobe.data.coin import Coin

COINS = [Coin.of(str(n)) for n in range(4000)]


def test_digests_do_not_change_between_releases() -> None:
    assert Coin.of("row", "1").digest.hex()[:16] == "9e378e7f8e6d56cb"


def test_how_content_is_cut_matters() -> None:
    assert Coin.of("ab", "c") != Coin.of("a", "bc") != Coin.of("a\0bc")
    assert Coin.of("ab", "c") == Coin.of("ab", "c")


def test_heads_are_half_and_choices_are_uniform_on_either_side() -> None:
    counts = Counter((coin.heads, coin.pick("abc")) for coin in COINS)
    expected = len(COINS) / 6
    assert len(counts) == 6
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())
