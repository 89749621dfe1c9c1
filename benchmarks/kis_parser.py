"""Frames of KIS's stream a second on one core: ticks, books and sealed notices of orders through `frames.parse`.

    python benchmarks/kis_parser.py [--frames N] [--json]        default: 200,000 frames of each kind

Processor time of this process, the least of seven runs, each over frames of its own that are made before: 41 names.
Required: 100,000 frames a second; aimed at: 500,000. A frame of ticks has one record, as KIS sends them most of the
time; "ticks, 10 records" counts records. In a book, 3 of its 20 quantities are others than in the name's last one; in
"books, all new" each of them is one that never came before. "notices, opened only" is the floor of a notice: Base64,
AES-256-CBC and padding by `cryptography`, and nothing read of what was in it.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from quantkit.brokers.kis.frames import day_at, parse
from quantkit.emulator.kis.frames import frame

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


def books(chance: random.Random, count: int, *, fresh: bool) -> list[bytes]:
    """Frames of H0STASP0, 63 columns. As KIS sends them: a name's next one has three other quantities and sometimes
    another price; fresh: all 20 quantities are drawn anew, of ten million, so that none was seen before."""
    names = [([chance.randrange(1, 100_000) for _ in range(20)], 50_000 + 50 * number) for number in range(NAMES)]
    found = []
    for number in range(count):
        shares, price = names[number % NAMES]
        price += 50 * chance.choice((-1, 0, 0, 0, 1))
        for place in range(20) if fresh else chance.sample(range(20), 3):
            shares[place] = chance.randrange(1, 10_000_000 if fresh else 100_000)
        names[number % NAMES] = (shares, price)
        prices = [*(price + 50 * k for k in range(1, 11)), *(price - 50 * k for k in range(10))]
        rest = [100_000, 120_000, 0, 0, 0, 0, 0, 0, 3, "0.00", 1_000_000 + number, *[0] * 9]
        row = [f"{number % NAMES:06d}", "100000", "0", *prices, *shares, *rest]
        found.append(frame("H0STASP0", ["^".join(map(str, row))]).encode())
    return found


def notice(number: int) -> bytes:
    """A sealed frame of H0STCNI9, 26 columns."""
    plain = "^".join(
        ["someone", "1234567801", f"{number:010d}", "", "02", "0", "00", "0", "005930", "0000000010", "000070000",
         "100000", "0", "2", "2", "00950", "000000010", "name", "000000000", "1", "Y", "", "10", "", "name",
         "000070000"]
    )  # fmt: skip
    return frame("H0STCNI9", [plain], encrypt=(KEY, IV)).encode()


def opened(sealed: bytes, cipher: Cipher[modes.CBC]) -> bytes:
    """The floor of a notice: its text and nothing read of it."""
    plain, pad = cipher.decryptor(), padding.PKCS7(128).unpadder()
    return pad.update(plain.update(base64.b64decode(sealed[15:])) + plain.finalize()) + pad.finalize()


def rate(frames: Sequence[bytes], read: Callable[[bytes], object]) -> float:
    """Frames a second of processor time; each is read once."""
    part, best = len(frames) // RUNS, float("inf")
    for run in range(RUNS):
        some = frames[run * part : (run + 1) * part]
        begun = time.process_time()
        for each in some:
            read(each)
        best = min(best, time.process_time() - begun)
    return part / best


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    chance = random.Random(SEED)
    some = min(given.frames, 70_000)
    secrets, cipher = {"H0STCNI9": (KEY, IV)}, Cipher(algorithms.AES(KEY.encode()), modes.CBC(IV.encode()))

    def read(each: bytes) -> object:
        return parse(each, DAY, secrets=secrets, generation=1)

    ticks = [frame("H0STCNT0", [tick(chance, number)]).encode() for number in range(given.frames)]
    tens = [
        frame("H0STCNT0", [tick(chance, 10 * number + k) for k in range(10)]).encode() for number in range(some // 4)
    ]
    notices = [notice(number) for number in range(some)]
    found = {
        "ticks": rate(ticks, read), "ticks, 10 records": 10 * rate(tens, read),
        "books": rate(books(chance, some, fresh=False), read),
        "books, all new": rate(books(chance, some, fresh=True), read),
        "notices": rate(notices, read), "notices, opened only": rate(notices, partial(opened, cipher=cipher)),
    }  # fmt: skip
    if given.json:
        print(json.dumps({"python": platform.python_version(), **{name: round(each) for name, each in found.items()}}))
    else:
        print(f"frames a second of processor time, Python {platform.python_version()}")
        for name, each in found.items():
            print(f"  {name:<22} {each:>10,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
