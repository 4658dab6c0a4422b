"""Lines are cut wherever the bytes happen to break, and never grow past their bound."""

from hypothesis import given
from hypothesis import strategies as st

from p2pchat.rpc.lines import LineSplitter, LineTooLong


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").strip()), max_size=8),
    st.integers(1, 7),
)
def test_lines_do_not_depend_on_how_the_bytes_arrive(lines: list[bytes], step: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter(100)
    found = [
        line
        for start in range(0, len(stream), step)
        for line in splitter.feed(stream[start : start + step])
    ]
    assert found == [line for line in lines if line]


def test_a_line_too_long_is_reported_once_and_the_next_one_counts() -> None:
    splitter = LineSplitter(10)
    assert list(splitter.feed(b"0123456789\n")) == [b"0123456789"]
    assert list(splitter.feed(b"0123456789")) == []
    assert list(splitter.feed(b"a")) == [LineTooLong()]
    assert list(splitter.feed(b"more" * 100)) == []
    assert list(splitter.feed(b"end\nnext\r\n\n")) == [b"next"]


def test_a_line_too_long_keeps_no_bytes() -> None:
    splitter = LineSplitter(10)
    list(splitter.feed(b"x" * 1000))
    list(splitter.feed(b"x" * 1000))
    assert splitter.finish() is None


def test_the_last_line_needs_no_newline() -> None:
    splitter = LineSplitter(10)
    assert list(splitter.feed(b"one\ntwo")) == [b"one"]
    assert splitter.finish() == b"two"
    assert splitter.finish() is None
