"""Make `quantkit/brokers/kis/catalogue.json`: every call that KIS publishes, with names in English beside its own.

    python tools/kis_catalogue.py ENDPOINTS.csv FIELDS.csv

Two tables of facts come in: calls (category, kind, name_ko, function, method, path, tr_id_real, tr_id_paper) and fields
(category, function, side, block, seq, name, label_ko, length, required). The English is ours and lies beside this file:
`kis_titles.txt` (a title a call), `kis_words.txt` (what the pieces of field names mean) and `kis_names.txt` (whole
names that need better words). Run it again after changing one of them; a test holds that the file fits them.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TARGET = HERE.parent / "quantkit" / "brokers" / "kis" / "catalogue.json"
PREFIXES = {
    "인증": "", "국내주식": "", "해외주식": "overseas_", "국내선물옵션": "futures_",
    "해외선물옵션": "overseas_futures_", "국내채권": "bond_", "ETF/ETN": "etf_", "ELW": "elw_",
}  # fmt: skip
CATEGORIES = {
    "인증": "auth", "국내주식": "stock", "해외주식": "overseas", "국내선물옵션": "futures",
    "해외선물옵션": "overseas_futures", "국내채권": "bond", "ETF/ETN": "etf", "ELW": "elw",
}  # fmt: skip
SERIES = re.compile(r"^(.*?)_?(\d+)\s*(?:~\s*(\d+)|…|\.\.\.)$")
SHORTEST = {"d": 8, "time": 6}
LONG = 5  # names with a number behind that make a series


def table(name: str) -> list[list[str]]:
    """Lines of one of our own files, cut at blanks or bars."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.split("|") if "|" in line else line.split() for line in lines if line and not line.startswith("#")]


WORDS = {piece: (word, kind[0] if kind else "") for piece, word, *kind in table("kis_words.txt")}
NAMES = {name: (words, kind) for name, words, kind in table("kis_names.txt")}
TITLES = dict(table("kis_titles.txt"))


def literal(name: str) -> tuple[str, str]:
    """English of a name piece by piece, and its kind."""
    said, kind = [], ""
    for piece in name.split("_"):
        known = re.fullmatch(r"(.*?)(\d*)", piece)
        assert known is not None
        base, digits = (piece, "") if piece in WORDS else (known[1], known[2])
        word, marked = WORDS.get(base, (base, ""))
        kind = marked or kind
        said += [part for part in (word.lstrip("~") if word != "-" else "", digits) if part]
    cleaned = re.sub(r"[^a-z0-9]+", "_", "_".join(said).lower()).strip("_")
    return (cleaned or re.sub(r"[^a-z0-9]+", "_", name)), kind or "t"


def short(name: str) -> tuple[str, str]:
    """The name a person would use: ours where we have one, else the literal one without the pieces marked ~."""
    if name in NAMES:
        return NAMES[name]
    numbered = re.fullmatch(r"(.+)_(\d+)", name)
    if numbered is not None and numbered[1] in NAMES:
        words, kind = NAMES[numbered[1]]
        return f"{words}_{numbered[2]}", kind
    plain = "_".join(piece for piece in name.split("_") if not WORDS.get(piece, ("", ""))[0].startswith("~"))
    return literal(plain)[0] if plain else literal(name)[0], literal(name)[1]


def english(names: list[str]) -> dict[str, tuple[str, str]]:
    """Names of one call in English, no two alike: the short one, the literal one, or that with the name itself."""
    told: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    for name in names:
        for candidate in (short(name)[0], literal(name)[0], f"{literal(name)[0]}_{re.sub(r'[^a-z0-9]+', '_', name)}"):
            shown = candidate if not candidate[:1].isdigit() else f"n_{candidate}"
            if shown not in taken:
                break
        taken.add(shown)
        told[name] = shown, short(name)[1]
    return told


def expanded(name: str, last: int) -> list[str]:
    """EXCD_01 ~ 10 as ten names; others as they are."""
    found = SERIES.match(name)
    if found is None:
        return [name]
    first, width = int(found[2]), len(found[2])
    return [f"{found[1]}_{number:0{width}d}" for number in range(first, int(found[3] or last) + 1)]


def requests(rows: list[dict[str, str]], lengths: dict[str, int]) -> list[list[Any]]:
    """[name, length, required] of each field of a request. Of a numbered series only the first is required."""
    names = [row["name"] for row in rows]
    told = any(row["required"] in ("Y", "N") for row in rows)
    found: dict[str, list[Any]] = {}
    for place, row in enumerate(rows):
        following = re.search(r"(\d+)$", names[place + 1]) if place + 1 < len(names) else None
        last = int(following[1]) - 1 if following else 99
        for name in expanded(row["name"], last):
            required = row["required"] == "Y" or (not told and row["required"] == "")
            found[name] = [name, lengths.get(row["name"].lower(), 0), int(required)]
    series = Counter(re.sub(r"\d+$", "", name) for name in found)
    for name, field in found.items():
        if series[re.sub(r"\d+$", "", name)] >= LONG and int(re.sub(r"^\D.*?(\d+)$", r"\1", name)) > 1:
            field[2] = 0
    return list(found.values())


def variants(text: str) -> dict[str, str]:
    """Transaction ids by the name of their variant, "" for the only one."""
    pairs = [part.partition("=") for part in text.split(";") if part]
    return {label if sign else "": tr if sign else label for label, sign, tr in pairs}


def lengths_of(rows: list[dict[str, str]]) -> dict[str, int]:
    """The longest published length of each request field: where two calls differ, the shorter one is a slip."""
    found: dict[str, int] = {}
    for row in rows:
        lower = row["name"].lower()
        if row["side"] == "req" and row["length"].isdigit():
            least = SHORTEST["d"] if short(lower)[1] == "d" else SHORTEST["time"] if "hour" in lower else 0
            found[lower] = max(found.get(lower, 0), int(row["length"]), least)
    return found


def blocks_of(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    """Names of an answer by block, or the ordered columns of a stream."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["side"] != "req" and not row["label_ko"].startswith("("):
            names = found.setdefault(row["block"], [])
            if row["name"].lower() not in names:
                names.append(row["name"].lower())
    return found


def entry(call: dict[str, str], rows: list[dict[str, str]], lengths: dict[str, int]) -> dict[str, Any]:
    """One call, without its English field names."""
    prefix = PREFIXES[call["category"]]
    name = call["function"] if call["function"].startswith(prefix) else prefix + call["function"]
    kind = "stream" if call["kind"] == "ws" else "auth" if call["category"] == "인증" else "read"
    kind = "order" if kind == "read" and call["method"] == "POST" else kind
    return {
        "name": name, "function": call["function"], "category": CATEGORIES[call["category"]], "ko": call["name_ko"],
        "en": TITLES[name], "method": call["method"], "path": call["path"], "kind": kind,
        "real": variants(call["tr_id_real"]), "paper": variants(call["tr_id_paper"]) if kind != "auth" else {"": ""},
        "request": requests([row for row in rows if row["side"] == "req"], lengths),
        "blocks": {block: " ".join(names) for block, names in blocks_of(rows).items()},
    }  # fmt: skip


def main() -> int:
    """Read both tables, write the file."""
    with Path(sys.argv[1]).open(encoding="utf-8") as first, Path(sys.argv[2]).open(encoding="utf-8") as second:
        calls = list(csv.DictReader(first))
        rows = [row for row in csv.DictReader(second) if row["name"]]
    fields: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        fields[row["category"], row["function"]].append(row)
        if row["label_ko"] and not row["label_ko"].startswith("("):
            labels[row["name"].lower()][row["label_ko"].replace("|", "/")] += 1
    lengths = lengths_of(rows)
    listed, default = [], {}
    for call in calls:
        made = entry(call, fields[call["category"], call["function"]], lengths)
        own: dict[str, str] = {}
        for names in [
            *(block.split() for block in made["blocks"].values()),
            [each[0].lower() for each in made["request"]],
        ]:
            for name, (shown, _) in english(names).items():
                if shown != default.setdefault(name, shown):
                    own[name] = shown
        listed.append(made | ({"own": own} if own else {}))
    listed.sort(key=lambda call: (list(CATEGORIES.values()).index(call["category"]), call["name"]))
    vocabulary = {
        name: [default[name], short(name)[1], labels[name].most_common(1)[0][0] if labels[name] else ""]
        for name in sorted(default)
    }
    TARGET.write_text(text_of(vocabulary, listed), encoding="utf-8")
    print(f"{TARGET.name}: {len(listed)} calls, {len(vocabulary)} names, {TARGET.stat().st_size:,} bytes")
    return 0


def text_of(vocabulary: dict[str, list[str]], listed: list[dict[str, Any]]) -> str:
    """JSON with a call and a name a line, so that changes can be read."""

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    names = ",\n".join(f"{line(name)}:{line(value)}" for name, value in vocabulary.items())
    calls = ",\n".join(line(call) for call in listed)
    return f'{{"names":{{\n{names}\n}},"calls":[\n{calls}\n]}}\n'


if __name__ == "__main__":
    sys.exit(main())
