"""How KIS seals notices of orders: AES-256-CBC with PKCS7, in Base64.

Contract: pure; `opened` gives the text or BadData, which says nothing of key and contents. Names in it may be in an
encoding that is not said: bytes that are no UTF-8 become replacement characters, since nothing of an order is in them.
"""

from __future__ import annotations

import base64
import binascii
import functools
from typing import Final

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from quantkit.errors import BadData

KEY_LENGTH: Final = 32
IV_LENGTH: Final = 16


def opened(payload: str, key: str, iv: str) -> str:
    """What was sealed with a key of 32 and an iv of 16 ASCII characters."""
    if len(key) != KEY_LENGTH or len(iv) != IV_LENGTH or not (key.isascii() and iv.isascii()):
        raise BadData(f"its key has {len(key)} and its iv {len(iv)} characters, expected {KEY_LENGTH} and {IV_LENGTH}")
    try:
        sealed = base64.b64decode(payload.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadData(f"{len(payload)} characters that are no Base64") from None
    plain, pad = _cipher(key, iv).decryptor(), padding.PKCS7(IV_LENGTH * 8).unpadder()
    try:
        return (pad.update(plain.update(sealed) + plain.finalize()) + pad.finalize()).decode("utf-8", "replace")
    except ValueError:
        raise BadData(f"{len(sealed)} sealed bytes do not open with its key") from None


@functools.lru_cache(maxsize=8)
def _cipher(key: str, iv: str) -> Cipher[modes.CBC]:
    """Of a feed; making it takes longer than what it opens."""
    return Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode()))
