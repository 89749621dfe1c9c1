"""Everybody else's orders: how deep the book is, and what they bring to a call.

Contract: pure and drawn from a seed by hashing, so that looking changes nothing: the depth of a price depends on the
seed, the price and how far the day has come, not on who asked. Quantities are whole shares, 1 or more.

A call is built around the price and volume it made in truth: alone it prints exactly those. Most of its orders stand at
that price, so that an order of ours up to about two thirds of the call's volume trades there without moving it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.emulator.book import Resting

if TYPE_CHECKING:
    from quantkit.emulator.grid import Grid

NAME: Final = "crowd"
LEVELS: Final = 10
PAST: Final = 0.3  # of a call's volume stands at better prices than the print
SURPLUS: Final = 0.5  # of a call's volume is left over on one side
LOCKED: Final = 10  # times the volume (of the call, of the day) waits where the price stands at its limit
_MASK: Final = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """64 bits that depend on every number given (the finaliser of splitmix64)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state + number * 0xBF58476D1CE4E5B9 + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def draw(*numbers: int) -> float:
    """A number in [0, 1) that depends on every number given."""
    return mix(*numbers) / 2.0**64


def depth(seed: int, scale: float, price: float, epoch: int, level: int) -> int:
    """Shares that everybody else rests at a price, `level` prices behind the best."""
    word = (seed + int(price) * 0x9E3779B97F4A7C15 + epoch * 0xD1B54A32D192ED03) & _MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    return max(1, int(scale * (0.4 + 1.2 * ((word >> 11) & 0xFFFFF) / 0x100000) * (1.0 + 0.15 * level)))


def call_orders(
    target: tuple[float, int], *, grid: Grid, lower: float, upper: float, scale: float, seed: int
) -> list[Resting]:
    """Orders of everybody else that alone make a call print `target`: its price and its shares."""
    price, volume = target
    past = int(volume * PAST)
    left = max(1, int(volume * SURPLUS))
    surplus = {1: 0, -1: 0}
    if price >= upper:
        surplus[1] = volume * LOCKED
    elif price <= lower:
        surplus[-1] = volume * LOCKED
    else:
        surplus[1 if mix(seed, volume) & 1 else -1] = left
    found = []
    for side in (1, -1):
        better = grid.up(price) if side > 0 else grid.down(price)
        inside = better <= upper if side > 0 else better >= lower
        shares = past if inside else 0
        if shares:
            found.append(Resting(0, NAME, side, better, shares))
        found.append(Resting(0, NAME, side, price, volume - shares + surplus[side]))
        behind = price
        for level in range(1, 6):
            behind = grid.down(behind) if side > 0 else grid.up(behind)
            if not lower <= behind <= upper:
                break
            found.append(Resting(0, NAME, side, behind, depth(seed, scale, behind, 0, level)))
    return found
