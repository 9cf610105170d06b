import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.golang import check_base64, decode_base64, parse_duration, quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("llama3:8b", '"llama3:8b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("it's", '"it\'s"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\0\x1b\x7f", r'"\x00\x1b\x7f"'),
        ("\x80\xa0\xad", r'"\u0080\u00a0\u00ad"'),
        ("\u2028\ufeff", r'"\u2028\ufeff"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("é 日本 😀", '"é 日本 😀"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    """Go's %q: short escapes, \\x below U+0080, \\u and \\U for what does not print, the rest as it is."""
    assert quote(text) == quoted


HOUR = 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("5s", 5),
        ("1478s", 1478),
        ("-5s", -5),
        ("-1s", -1),
        ("+5s", 5),
        ("5m0s", 300),
        ("1h30m", 1.5 * HOUR),
        ("1.5h", 1.5 * HOUR),
        ("5.s", 5),
        (".5s", 0.5),
        ("5.6s", 5.6),
        ("1.004s", 1.004),
        ("10ns", 10e-9),
        ("11us", 11e-6),
        ("12µs", 12e-6),  # U+00B5
        ("12μs", 12e-6),  # U+03BC
        ("13ms", 13e-3),
        ("15m", 900),
        ("16h", 16 * HOUR),
        ("10.5s4m", 250.5),
        ("-2m3.4s", -123.4),
        ("1h2m3s4ms5us6ns", 3723.004005006),
        ("39h9m14.425s", 39 * HOUR + 9 * 60 + 14.425),
        ("0.3333333333333333333h", 1200),
        ("2562047h", 2562047 * HOUR),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """The durations that Go's own tests of time.ParseDuration accept."""
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".", 'time: invalid duration "."'),
        ("-.", 'time: invalid duration "-."'),
        (".s", 'time: invalid duration ".s"'),
        ("+.s", 'time: invalid duration "+.s"'),
        (" 1s", 'time: invalid duration " 1s"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("1s.", 'time: invalid duration "1s."'),
        ("\N{ARABIC-INDIC DIGIT THREE}", 'time: invalid duration "\N{ARABIC-INDIC DIGIT THREE}"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("-3000000h", 'time: invalid duration "-3000000h"'),
        ("300", 'time: missing unit in duration "300"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("00", 'time: missing unit in duration "00"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1S", 'time: unknown unit "S" in duration "1S"'),
        ("1s 1m", 'time: unknown unit "s " in duration "1s 1m"'),
    ],
)
def test_what_is_no_duration(text: str, message: str) -> None:
    """Contract 3.1: the words of time.ParseDuration; what an int64 of nanoseconds can't hold is invalid too."""
    with pytest.raises(InvalidRequest) as caught:
        parse_duration(text)
    assert caught.value.message == message
    assert caught.value.status == 400


def test_long_durations() -> None:
    """Row B4: a duration of more than a hundred characters is refused as a whole, and shown in part."""
    assert parse_duration("0s" * 50) == 0
    with pytest.raises(InvalidRequest) as caught:
        parse_duration("0s" * 50 + "1")
    assert caught.value.message == f'time: invalid duration "{"0s" * 50}"'


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", b""),
        ("\n", b""),
        ("Zg==", b"f"),
        ("Zm8=", b"fo"),
        ("Zm9v", b"foo"),
        ("Zm9vYmFy", b"foobar"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("AB==", b"\0"),  # Go ignores the bits that are left over
        ("AAA=\n", b"\0\0"),
        ("AAAA\n", b"\0\0\0"),
        ("c3VyZQ==\r\n", b"sure"),
        ("c3VyZ\r\nQ==", b"sure"),
        ("c3V\ryZ\nQ==", b"sure"),
        ("c3VyZQ\n==", b"sure"),
        ("c3VyZQ=\r\n\r\n=", b"sure"),
    ],
)
def test_base64(text: str, data: bytes) -> None:
    """Contract 3.4: the standard alphabet, padded; line ends anywhere are skipped."""
    assert decode_base64(text) == data


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        # Go's own table, TestDecodeCorrupt.
        ("!!!!", 0),
        ("====", 0),
        ("x===", 1),
        ("=AAA", 0),
        ("A=AA", 1),
        ("AA=A", 2),
        ("AA==A", 4),
        ("AAA=AAAA", 4),
        ("AAAAA", 4),
        ("AAAAAA", 4),
        ("A=", 1),
        ("A==", 1),
        ("AA=", 3),
        ("AAAAAA=", 7),
        ("YWJjZA=====", 8),
        ("A!\n", 1),
        ("A=\n", 1),
        # By its rules: the short quantum is counted back from the end, line ends included.
        ("AAA", 0),
        ("AAA\n", 1),
        ("AAAAA\nA", 5),
        ("AAAA\r\nAA", 6),
        ("\nAAA", 1),
        ("\rAAA", 1),
        ("AA=\nA", 3),
        ("AA=\r\n", 5),
        ("AA=\n=\nA", 6),
        ("AAA=\nA", 5),
        ("AAAA=", 4),
        ("AAAA==", 4),
        ("AAAA====", 4),
        ("data:image/png;base64,AAAA", 4),
        ("http://example.com/a.png", 4),
        ("_-_-", 0),
        ("AAAAAA-_", 6),
        ("AAAA AAAA", 4),
        ("AAAAé===", 4),
        ("\ud800", 0),
    ],
)
def test_corrupt_base64(text: str, offset: int) -> None:
    """Contract 3.4: data URIs, URLs, the URL alphabet and missing padding are refused where Go gives up."""
    with pytest.raises(InvalidRequest) as caught:
        decode_base64(text)
    assert caught.value.message == f"illegal base64 data at input byte {offset}"
    assert caught.value.status == 400


@given(
    st.text("AZaz09+/=\r\n-_ é", max_size=12) | st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode())
)
def test_base64_is_standard(text: str) -> None:
    """Contract 3.4: what is taken is what RFC 4648 calls base64, but for line ends; check and decoder agree."""
    bare = text.replace("\r", "").replace("\n", "")
    try:
        expected = base64.b64decode(bare, validate=True) if not bare.endswith("===") and len(bare) % 4 == 0 else None
    except ValueError:
        expected = None
    if expected is None:
        for refuse in (decode_base64, check_base64):
            with pytest.raises(InvalidRequest, match=r"^illegal base64 data at input byte \d+$"):
                refuse(text)
    else:
        check_base64(text)
        assert decode_base64(text) == expected
