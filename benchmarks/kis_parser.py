"""Frames of KIS's stream a second on one core: ticks, books and sealed notices of orders through `frames.parse`.

    python benchmarks/kis_parser.py [--frames N] [--json]        default: 200,000 frames of each kind

Processor time of this process, the least of seven runs over frames that are made before: 41 names, each frame with
other prices. Required: 100,000 frames a second; aimed at: 500,000. A frame of ticks has one record, as KIS sends them
most of the time; "ticks, 10 records" counts records.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import random
import sys
import time
from collections.abc import Sequence

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from quantkit.brokers.kis.frames import Day, day_at, parse

RUNS, NAMES, SEED = 7, 41, 20240101
KEY, IV = "k" * 32, "v" * 16
DAY = day_at(1_763_682_615_000_000_000)


def tick(chance: random.Random, number: int) -> str:
    """A record of H0STCNT0, 47 columns."""
    price, shares = 50_000 + 50 * chance.randrange(400), chance.randrange(1, 500)
    clock = f"{9 + number // 3600 % 6:02d}{number // 60 % 60:02d}{number % 60:02d}"
    return "^".join(
        [f"{chance.randrange(NAMES):06d}", clock, str(price), "2", "500", "0.72", f"{price - 49.88:.2f}", "69500",
         "70200", "49400", str(price + 50), str(price), str(shares), str(1_000_000 + number), "86000000000", "1000",
         "1200", "200", "120.50", "500000", "600000", "1", "0.55", "98.10", "090000", "2", "500", "091000", "5",
         "-200", "092000", "2", "600", DAY.text, "20", "N", "1000", "1500", "100000", "120000", "0.02", "1000000",
         "123.45", "0", "", "69500", "2"]
    )  # fmt: skip


def book(chance: random.Random, number: int) -> str:
    """A record of H0STASP0, 63 columns."""
    price = 50_000 + 50 * chance.randrange(400)
    shares = [str(chance.randrange(1, 5_000)) for _ in range(20)]
    prices = [str(price + 50 * k) for k in range(1, 11)] + [str(price - 50 * k) for k in range(10)]
    rest = ["100000", "120000", "0", "0", "0", "0", "0", "0", "3", "0.00", str(1_000_000 + number), *["0"] * 9]
    return "^".join([f"{number % NAMES:06d}", "100000", "0", *prices, *shares, *rest])


def notice(number: int) -> str:
    """A sealed record of H0STCNI9, 26 columns."""
    plain = "^".join(
        ["someone", "1234567801", f"{number:010d}", "", "02", "0", "00", "0", "005930", "0000000010", "000070000",
         "100000", "0", "2", "2", "00950", "000000010", "name", "000000000", "1", "Y", "", "10", "", "name",
         "000070000"]
    )  # fmt: skip
    pad = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(KEY.encode()), modes.CBC(IV.encode())).encryptor()
    sealed = cipher.update(pad.update(plain.encode()) + pad.finalize()) + cipher.finalize()
    return f"1|H0STCNI9|001|{base64.b64encode(sealed).decode()}"


def rate(frames: Sequence[bytes], day: Day) -> float:
    """Frames a second of processor time."""
    secrets, best = {"H0STCNI9": (KEY, IV)}, float("inf")
    for _ in range(RUNS):
        begun = time.process_time()
        for frame in frames:
            parse(frame, day, secrets=secrets, generation=1)
        best = min(best, time.process_time() - begun)
    return len(frames) / best


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    chance = random.Random(SEED)
    some = min(given.frames, 20_000)
    ticks = [f"0|H0STCNT0|001|{tick(chance, number)}".encode() for number in range(given.frames)]
    tens = [
        f"0|H0STCNT0|010|{'^'.join(tick(chance, 10 * number + k) for k in range(10))}".encode()
        for number in range(some // 4)
    ]
    books = [f"0|H0STASP0|001|{book(chance, number)}".encode() for number in range(some)]
    notices = [notice(number).encode() for number in range(some)]
    found = {
        "ticks": rate(ticks, DAY), "ticks, 10 records": 10 * rate(tens, DAY), "books": rate(books, DAY),
        "notices": rate(notices, DAY),
    }  # fmt: skip
    if given.json:
        print(json.dumps({"python": platform.python_version(), **{name: round(each) for name, each in found.items()}}))
    else:
        print(f"frames a second of processor time, Python {platform.python_version()}")
        for name, each in found.items():
            print(f"  {name:<18} {each:>10,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
