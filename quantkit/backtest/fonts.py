"""Fonts for pictures: Hangul drawn as Hangul where a font for it is at hand, and never as empty boxes.

Contract: looks at the fonts matplotlib knows, then at the `koreanize-matplotlib` package (NanumGothic, OFL; read as
files, never imported, so that it changes no settings). Sets no rcParams. Text that no font can draw is replaced by what
the caller gives instead. HTML needs none of this: the reader's own fonts draw it.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["drawable", "families", "set_fonts"]

LATIN = "DejaVu Sans"  # comes with matplotlib
HANGUL = (
    "Pretendard", "Noto Sans KR", "Noto Sans CJK KR", "NanumGothic", "NanumBarunGothic", "Malgun Gothic",
    "Apple SD Gothic Neo", "AppleGothic", "Noto Sans CJK JP", "UnDotum",
)  # fmt: skip
_PACKAGE, _FILES = "koreanize_matplotlib", ("fonts/NanumGothic.ttf", "fonts/NanumGothicBold.ttf")


@cache
def _hangul() -> tuple[str, bool] | None:
    """Family with Hangul and whether it has a bold face; None where there is no such font."""
    from matplotlib import font_manager

    known = font_manager.fontManager.ttflist
    spec = find_spec(_PACKAGE) if not any(font.name in HANGUL for font in known) else None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in (Path(folder) / file for file in _FILES):
            if path.is_file():
                font_manager.fontManager.addfont(path)
    weights = {name: {font.weight for font in known if font.name == name} for name in HANGUL}
    found = next((name for name in HANGUL if weights[name]), None)
    return None if found is None else (found, bool(weights[found] & {"bold", 700}))


def families() -> tuple[str, ...]:
    """Families to draw text with; the first that has a glyph draws it."""
    found = _hangul()
    return (LATIN,) if found is None else (LATIN, found[0])


def set_fonts(figure: Figure) -> None:
    """Give every text of a figure the fonts its characters need."""
    from matplotlib.text import Text

    found = _hangul()
    for text in figure.findobj(Text):
        if found is None or _can_draw(LATIN, text.get_text()):
            text.set_fontfamily([LATIN])
        else:
            text.set_fontfamily([LATIN, found[0]])
            if not found[1]:
                text.set_fontweight("normal")


@cache
def _glyphs(family: str) -> frozenset[int]:
    """Every character a family can draw."""
    from matplotlib import font_manager

    file = font_manager.findfont(font_manager.FontProperties(family=[family]))
    return frozenset(font_manager.get_font(file).get_charmap())


def _can_draw(family: str, text: str) -> bool:
    return all(ord(character) in _glyphs(family) for character in text)


def drawable(text: str, instead: str) -> str:
    """`text` if every character of it can be drawn, else `instead`."""
    return text if all(any(_can_draw(family, character) for family in families()) for character in text) else instead
