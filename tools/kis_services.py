"""Make `quantkit/emulator/kis/services.json`: what the emulator answers beside what it replays.

    python tools/kis_services.py ENDPOINTS.csv FIELDS.csv

The same two tables of facts as those of `kis_catalogue.py`, read for the other side of the wire and by nothing of its
code: which parameters a service needs, which blocks it answers with, whether a block is one row or a list, and what the
text of an empty field looks like. kinds: "0" whole number, "2" number with two places, "d" date, "t" time of day, "y" Y
or N, "s" sign of a change, "" text.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "quantkit" / "emulator" / "kis" / "services.json"
CHART = "stck_bsop_date {} acml_vol acml_tr_pbmn mod_yn"
# Where the tables do not say which field is in which block: (block, list or not, fields; none: all that are left).
UNSAID: dict[str, list[tuple[str, bool, str]]] = {
    "FHKUP03500100": [
        ("output2", True, CHART.format("bstp_nmix_prpr bstp_nmix_oprc bstp_nmix_hgpr bstp_nmix_lwpr")),
        ("output1", False, ""),
    ],
    "FHKST03030100": [
        ("output2", True, "stck_bsop_date ovrs_nmix_prpr ovrs_nmix_oprc ovrs_nmix_hgpr ovrs_nmix_lwpr acml_vol mod_yn"),
        ("output1", False, ""),
    ],
    "FHKIF03020100": [
        ("output2", True, CHART.format("futs_prpr futs_oprc futs_hgpr futs_lwpr")), ("output1", False, ""),
    ],
    "HHDFS76300000": [("output1", False, "zdiv stat nrec"), ("output2", True, "")],
    "HHDFS76290000": [("output1", False, "zdiv stat crec trec nrec"), ("output2", True, "")],
    "FHPST02400000": [("output", False, "")],
}  # fmt: skip
SHARED = ("stck_prpr", "bstp_nmix_prpr", "ovrs_nmix_prpr", "futs_prpr", "acml_vol", "acml_tr_pbmn")  # in both of two
LONG = 8  # parameters of a service that takes a series of them
SWAPPED = {"HHDFS76950200": {"output1": False, "output2": True}}  # printed the other way round
CODES = "_cd _code _nm _isnm _no _num pdno _text _cntt _key _dvsn _gb _type _seq _id natn"
NUMBERS = (
    "qty vol amt pbmn cnt prpr prc pric unpr hgpr lwpr oprc clpr mxpr llam sdpr vrss rsqn icdc smtl stcn fee ask bid "
    "askp bidp mgna cash csnu val avls nav rlim dnca cust"
)
KINDS: tuple[tuple[str, str, str], ...] = (  # kind, names, labels: the first line that fits
    ("y", r".*_yn\d?", ""),
    ("s", r"(.*_)?sign\d?", ".*부호$"),
    ("", rf".*({'|'.join(CODES.split())})|.*(_name|_iscd)\d*|name\d", ""),
    ("2", r".*(_ctrt|_rate\d?|_rt\d?|tnrt|_per|_pbr|ratio|_inrt|dsrt|vltl)", ".*(율|률|%)$"),
    ("2", r"per|pbr|eps|bps|rate|v?powx?", ""),
    ("0", rf".*({'|'.join(NUMBERS.split())})_?\d*", ""),
    ("d", r".*(_dt|date\d?|ymd|sttldt)|exdt", ".*(일자|날짜|년월일)$"),
    ("t", r".*(_hour|_tmd|_tm|_time)|[xk]hms|[se](tim|ktm)|sktm", ".*(시각|시간)$"),
    ("0", "", ".*(가격|가|량|액|금|수|잔고|잔량|증감|주|합계|건수|총계)$"),
)


def kind_of(name: str, label: str) -> str:
    """What the text of a field is."""
    for kind, names, labels in KINDS:
        if (names and re.fullmatch(names, name)) or (labels and re.fullmatch(labels, label)):
            return kind
    return ""


def needs(rows: list[dict[str, str]]) -> list[str]:
    """Parameters without which a service turns a request away: of a numbered series the first."""
    found = []
    long = len(rows) > LONG or any(re.search(r"~|…|\.\.\.", row["name"]) for row in rows)
    for row in rows:
        name = row["name"].upper()
        series = re.fullmatch(r"(.*?_?)0*(\d+)( ~.*|…|\.\.\.)?", name)
        later = series is not None and int(series[2]) > 1 and long
        if row["required"] == "Y" and not name.startswith("CTX_AREA") and not later:
            found.append(name.split(" ~")[0])
    return found


def blocks(tr: str, rows: list[dict[str, str]]) -> dict[str, list[Any]]:
    """Name of each block, whether it is a list, and its fields."""
    said: dict[str, str] = {row["block"]: row["label_ko"] for row in rows if row["label_ko"].startswith("(")}
    named: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        name = row["name"].lower()
        if not row["label_ko"].startswith("(") and not name.startswith("ctx_area") and not name.startswith("output"):
            named[row["block"]].append(name)
    found: dict[str, list[Any]] = {}
    for block, names in named.items():
        if block == "?":
            left = list(names)
            for title, many, fields in UNSAID.get(tr, [("output", True, "")]):
                mine = [name for name in fields.split() if name in names] or left
                left = [name for name in left if name not in mine or name in SHARED]
                found[title] = [int(many), " ".join(mine)]
        elif names:
            many = SWAPPED.get(tr, {}).get(block, "array" in said.get(block, "array"))
            found[block or "outblock1"] = [int(many), " ".join(dict.fromkeys(names))]
    return found


def ids(text: str) -> list[str]:
    """Transaction ids of all variants."""
    return [part.rpartition("=")[2] for part in text.split(";") if part]


def main() -> int:
    """Read both tables, write the file."""
    with Path(sys.argv[1]).open(encoding="utf-8") as first, Path(sys.argv[2]).open(encoding="utf-8") as second:
        calls = list(csv.DictReader(first))
        rows = [row for row in csv.DictReader(second) if row["name"]]
    of: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        of[row["category"], row["function"], row["side"]].append(row)
        if row["side"] == "res":
            labels[row["name"].lower()][row["label_ko"].strip()] += 1
    services = []
    for call in calls:
        if call["kind"] != "rest" or call["category"] == "인증":
            continue
        asked, told = (of[call["category"], call["function"], side] for side in ("req", "res"))
        real = ids(call["tr_id_real"])
        width = next((int(row["name"][-3:]) for row in asked if re.fullmatch(r"CTX_AREA_NK\d{3}", row["name"])), 0)
        services.append({
            "method": call["method"], "path": call["path"], "real": real, "paper": ids(call["tr_id_paper"]),
            "needs": needs(asked), "width": width, "blocks": blocks(real[0], told),
        })  # fmt: skip
    used = {name for one in services for _, fields in one["blocks"].values() for name in fields.split()}
    kinds = {name: kind_of(name, labels[name].most_common(1)[0][0]) for name in sorted(used)}
    grouped = {kind: " ".join(name for name in kinds if kinds[name] == kind) for kind in ("0", "2", "d", "t", "y", "s")}
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in services)
    TARGET.write_text(f'{{"kinds":{json.dumps(grouped)},\n"services":[\n{lines}\n]}}\n', encoding="utf-8")
    print(f"{TARGET.name}: {len(services)} services, {len(kinds)} names, {TARGET.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
