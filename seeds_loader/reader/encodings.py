"""Determine the encoding of a CSV file: stated, marked or certain from its text, never a guess.

A file without a stated encoding is read as UTF-8, as UTF-16 or UTF-32 with a byte order mark, or as
Windows-1252, Excel's plain 'CSV' in Western countries. Almost any bytes can be decoded as
Windows-1252, so that encoding is chosen only if every character beyond ASCII appears where Western
languages use it (docs/decisions/0024-notation.md).
"""

import codecs
import io
import re
from pathlib import Path

from lakehouse.errors import InvalidInputError
from seeds_loader.reader.file_format import damaged_error

CHUNK_CHARACTERS = 1024**2
# The longer marks first: UTF-32's begins with UTF-16's.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WESTERN = "cp1252"
# Size of the sample for the hint.
SAMPLE_BYTES = 64 * 1024
# Codecs that the hint chooses from, with their common names.
NAMES = {
    "cp932": "Shift-JIS",
    "gb18030": "GBK",
    "big5": "Big5",
    "euc_jp": "EUC-JP",
    "cp949": "EUC-KR",
    "cp1251": "Windows-1251 (Cyrillic)",
    "koi8_r": "KOI8-R (Cyrillic)",
    "cp866": "DOS Cyrillic",
    "cp1250": "Windows-1250 (Central European)",
    "iso8859_2": "Latin-2 (Central European)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1255": "Windows-1255 (Hebrew)",
    "cp1256": "Windows-1256 (Arabic)",
    "cp1257": "Windows-1257 (Baltic)",
    "mac_roman": "Mac Roman",
    "cp850": "DOS Western",
}

# The letters beyond ASCII of one language each. If no single language has all letters of a word, it
# is not a Western word: 'Dvoøák' is Czech decoded as Western.
ALPHABETS = (
    "äöüß",
    "àâæçéèêëîïôœûü",
    "áéíñóúü",
    "áâãàçéêíóôõúü",
    "àèéìòù",
    "åäæöøéü",
    "éëïóöüèê",
    "àçèéíïòóúü",
)
# The only word without an ASCII letter.
SINGLE = "à"
# Where a letter appears in the languages that have it, tested on the lower-case word. In other
# positions it is another letter of another encoding ('Nìmec', 'Gyõr', 'Brãila').
PLACES = {
    "ì": re.compile(r"ì$"),
    "ù": re.compile(r"ù$"),
    "õ": re.compile(r"õe"),
    "ã": re.compile(r"ã(o|e|s|$)"),
    "ñ": re.compile(r"ñ[aeiouáéíóú]"),
    "î": re.compile(r"î([tlnmc]|$)"),
    "œ": re.compile(r"œ[uies]"),
    "ç": re.compile(r"ç([aouáâãóôõúeéiè]|$)"),
    "ß": re.compile(r"[a-zäöü]ß"),
}
LETTER = "[A-Za-zÀ-ÖØ-öø-ÿŒœŠšŽžŸƒ]"
WORD = re.compile(f"{LETTER}+")
# Signs, and the characters that each may have beside it.
_NOT_BEFORE_LETTER = f"(?!{LETTER})"
_BESIDE = r"[A-Za-z\u0080-\uffff]"
SIGNS = re.compile(
    "|".join(
        (
            rf"(?<!{_BESIDE})[£§°©®™·–—…´½¼¾±¢¥](?!{_BESIDE})",
            rf"(?<!{LETTER})€(?!{LETTER})",
            # 5m², n°, 20 °C, Nº 5
            rf"(?<=m)[²³]{_NOT_BEFORE_LETTER}",
            r"(?<=[\d ])°(?=[CF]\b)",
            rf"(?<=[nN\d])[ºª°]{_NOT_BEFORE_LETTER}",
            rf"(?<={LETTER})[…©®™]{_NOT_BEFORE_LETTER}",
            # l’Île, John’s, the players’
            rf"(?<=\b{LETTER})’(?={LETTER})",
            rf"(?<={LETTER})’(?=s\b)",
            rf"(?<={LETTER})’{_NOT_BEFORE_LETTER}",
            # In pairs.
            r"“[^“”]*”",
            r"„[^„“”]*[“”]",
            r"‘[^‘’]*’",
            r"«[^«»]*»",
            r"¿[^¿?]*\?",
            r"¡[^¡!]*!",
            # 20 €, a no-break blank before a sign or between words.
            rf"(?<!\w)\u00a0|\u00a0(?!{LETTER})|(?<=\d)\u00a0(?=\w)|\u00a0(?=[A-Z])",
        )
    )
)
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
BEYOND_LETTERS = re.compile(r"[^\x00-\x7fÀ-ÖØ-öø-ÿŒœ]")


def find_encoding(path: Path, stated: str | None) -> str:
    """Return the codec that decodes the whole file as text.

    Args:
        path: The CSV file.
        stated: The stated encoding, or None to detect it.

    Raises:
        InvalidInputError: There is no such codec, or none that is certain; the message names the
            likely one.
    """
    with path.open("rb") as file:
        head = file.read(SAMPLE_BYTES)
    if stated is not None:
        return _check_stated_encoding(path, head, stated)
    marked = next((name for mark, name in MARKS.items() if head.startswith(mark)), None)
    if _is_text(path, head, marked or "utf-8-sig"):
        return marked or "utf-8-sig"
    if marked is None and _is_text(path, head, WESTERN) and _is_western(path):
        return WESTERN
    raise _unknown_encoding_error(path, head, marked)


def _check_stated_encoding(path: Path, head: bytes, stated: str) -> str:
    try:
        found = codecs.lookup(stated)
        # Raises LookupError as well for codecs of something other than text, such as 'hex'.
        io.TextIOWrapper(io.BytesIO(), encoding=stated)
    except LookupError as error:
        raise InvalidInputError(
            f"there is no text encoding {stated!r}",
            where="--encoding, or source_format in contract.yml of the domain",
            hint="name one such as utf-8, cp1252, cp1251, shift_jis, gb18030 or utf-16-le",
        ) from error
    name = "utf-8-sig" if found.name == "utf-8" else found.name
    if not _is_text(path, head, name):
        raise InvalidInputError(
            f"{path.name} is not written in {stated}",
            where=str(path),
            hint=f"name another --encoding, or leave it out{_format_hint(head)}",
        )
    return name


def _is_text(path: Path, head: bytes, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as text:
            while chunk := text.read(CHUNK_CHARACTERS):
                if "\0" in chunk:
                    raise damaged_error(
                        path, f"it holds zero bytes, which text does not{_find_wide_encoding(head)}"
                    )
    # Multi-byte codecs raise UnicodeError itself.
    except UnicodeError:
        return False
    return True


def _find_wide_encoding(head: bytes) -> str:
    """Return a hint about zero bytes: UTF-16 has one beside each ASCII letter."""
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if len(zeros) > 8 and zeros.count(0) > 0.8 * len(zeros):
            return (
                f"; it looks like UTF-16 without a byte order mark, which --encoding {name} reads"
            )
    return ""


def _is_western(path: Path) -> bool:
    with path.open(encoding=WESTERN, newline="") as text:
        return all(_is_western_line(line) for line in text if not line.isascii())


def _is_western_line(line: str) -> bool:
    """Return whether every character beyond ASCII appears where a Western language has it."""
    words = [word for word in WORD.findall(line) if not word.isascii()]
    if not all(map(_is_western_word, words)):
        return False
    signs = SIGNS.sub(lambda found: BEYOND_LETTERS.sub("", found[0]), line)
    return not BEYOND_LETTERS.search(signs)


def _is_western_word(word: str) -> bool:
    beyond = BEYOND_ASCII.findall(word)
    if len(word) == 1:
        return word == SINGLE
    folded = word.lower()
    letters = set(BEYOND_ASCII.findall(folded))
    return (
        2 * len(beyond) <= len(word) + 1
        and any(letters <= set(alphabet) for alphabet in ALPHABETS)
        and all(place.search(folded) for letter, place in PLACES.items() if letter in letters)
        # 'dÉf': a capital among lower-case letters.
        and (
            word.isupper()
            or not any(letter.isupper() for letter in word[1:] if not letter.isascii())
        )
    )


def _unknown_encoding_error(path: Path, head: bytes, marked: str | None) -> InvalidInputError:
    if marked is not None:
        return InvalidInputError(
            f"{path.name} is no text: it begins as {marked.upper()} and does not go on so",
            where=str(path),
            hint="get the file again, or save it in Excel as 'CSV UTF-8 (comma delimited)'",
        )
    return InvalidInputError(
        f"{path.name} is not UTF-8, nor is it Windows-1252 with certainty: read as that, "
        f"{_describe_first_oddity(path)}",
        where=str(path),
        hint="save it in Excel as 'CSV UTF-8 (comma delimited)', or name what it is with "
        f"--encoding{_format_hint(head) or ', for example --encoding cp1252'}",
    )


def _describe_first_oddity(path: Path) -> str:
    with path.open(encoding=WESTERN, newline="", errors="replace") as text:
        for number, line in enumerate(text, start=1):
            if line.isascii() or ("\ufffd" not in line and _is_western_line(line)):
                continue
            odd = BEYOND_ASCII.search(line)
            assert odd is not None
            around = line[max(0, odd.start() - 10) : odd.end() + 20].strip()
            return f"line {number} has {around!r}"
    return "it is no text"


def _format_hint(head: bytes) -> str:
    """Return the likely encoding as the end of a hint, or '' if no known one is likely."""
    # Imported here only because the import is slow.
    from charset_normalizer import from_bytes

    # Whole lines only: a truncated character is invalid.
    sample = head[: head.rfind(b"\n") + 1] or head
    lines = b"\n".join(line for line in sample.splitlines() if not line.isascii())
    best = from_bytes(lines, cp_isolation=list(NAMES)).best() if lines else None
    if best is None or best.encoding not in NAMES:
        return ""
    return f"; it looks like {NAMES[best.encoding]}, which --encoding {best.encoding} reads"
