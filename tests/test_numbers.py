import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.numbers import MAX_NUMBERS, parse_numbers
from w2sprobe.probes.logistic import L2S


@pytest.mark.parametrize(
    ("spec", "kind", "numbers"),
    [
        ("50", int, (50,)),
        ("9,3,9", int, (9, 3)),
        ("1:200:log10", int, (1, 2, 3, 6, 11, 19, 34, 62, 111, 200)),
        ("1:3:log9", int, (1, 2, 3)),
        ("10:50:20", int, (10, 30, 50)),
        ("10:55:20", int, (10, 30, 50)),
        ("1:9:lin3", int, (1, 5, 9)),
        ("2, 10:12:1", int, (2, 10, 11, 12)),
        ("1e-4:1000:log15", float, L2S),
        ("0.1:0.3:0.1", float, (0.1, 0.2, 0.3)),
        ("0.01:0.05:lin5", float, (0.01, 0.02, 0.03, 0.04, 0.05)),
        ("1.2345:2:log2", float, (1.2345, 2.0)),
    ],
)
def test_specs(spec: str, kind: type, numbers: tuple) -> None:
    found = parse_numbers(spec, kind, "--x")
    assert found == numbers
    assert all(type(number) is kind for number in found)


@given(
    st.integers(1, 500), st.integers(1, 500), st.integers(2, 40), st.sampled_from(["log", "lin"])
)
def test_ranges_of_whole_numbers(start: int, more: int, count: int, how: str) -> None:
    numbers = parse_numbers(f"{start}:{start + more}:{how}{count}", int, "--ks")
    assert (numbers[0], numbers[-1]) == (start, start + more)
    assert list(numbers) == sorted(set(numbers))
    assert 2 <= len(numbers) <= count


@given(
    st.floats(1e-6, 1e3), st.floats(1.5, 1e6), st.integers(2, 12), st.sampled_from(["log", "lin"])
)
def test_ranges_of_numbers(start: float, times: float, count: int, how: str) -> None:
    end = start * times
    numbers = parse_numbers(f"{start!r}:{end!r}:{how}{count}", float, "--l2s")
    assert (numbers[0], numbers[-1], len(numbers)) == (start, end, count)
    for n, number in enumerate(numbers):
        share = n / (count - 1)
        exact = start * times**share if how == "log" else start + share * (end - start)
        assert number == pytest.approx(exact, rel=5.1e-3)


@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
def test_steps(start: int, more: int, step: int) -> None:
    end = start + more
    assert parse_numbers(f"{start}:{end}:{step}", int, "x") == tuple(range(start, end + 1, step))


BAD = ["", "ten", "1,", "1:2", "1:2:3:4", "5:1:log3", "1:5:log1", "1:5:log", "1:5:exp3", "1:5:0",
       "1:5:-1", "0:5:log3", "-1:5:lin3", "1.5", "1:5:0.5"]  # fmt: skip


@pytest.mark.parametrize("spec", BAD)
def test_what_is_no_range_is_answered_with_some(spec: str) -> None:
    with pytest.raises(InputError, match=r"--ks is '.*Allowed: numbers separated.*1:200:log10"):
        parse_numbers(spec, int, "--ks")


@pytest.mark.parametrize("spec", ["1:inf:log3", "1:nan:3", f"1:{MAX_NUMBERS + 2}:1", "1:2:1e-9"])
def test_ranges_without_end(spec: str) -> None:
    with pytest.raises(InputError, match=f"up to {MAX_NUMBERS} numbers"):
        parse_numbers(spec, float, "--l2s")


@pytest.mark.parametrize("spec", ["0", "-1", "nan", "inf", "1,0"])
def test_numbers_are_above_zero(spec: str) -> None:
    with pytest.raises(InputError, match=r"--l2s is .*Allowed: numbers above 0\."):
        parse_numbers(spec, float, "--l2s")
