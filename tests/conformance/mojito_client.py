"""mojito2, driven against an emulator; run by its own interpreter. One JSON line a step: name, what it read."""

import json
import os
import sys
import tempfile

import mojito.koreainvestment as module

given = json.loads(sys.argv[1])
os.chdir(tempfile.mkdtemp())  # it keeps its token in the current folder
module.KoreaInvestment.set_base_url = lambda self, mock=True: setattr(self, "base_url", given["rest"])


def step(name, work):
    try:
        print(json.dumps({"step": name, "read": work()}, default=str), flush=True)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its answer
        print(json.dumps({"step": name, "error": f"{type(error).__name__}: {error}"}), flush=True)


account = f"{given['account'][:8]}-{given['account'][8:]}"
made = {}
step(
    "token",
    lambda: made.setdefault(
        "kis", module.KoreaInvestment(given["appkey"], given["appsecret"], account, mock=given["paper"])
    ).access_token[:7],
)
kis = made["kis"]
NAME, LOW, STEP = given["symbol"], given["low"], given["step"]

step("quote", lambda: kis.fetch_price(NAME)["output"]["stck_prpr"])
step(
    "daily chart",
    lambda: [
        row["stck_clpr"] for row in kis.fetch_ohlcv_domestic(NAME, "D", given["since"], given["until"])["output2"]
    ],
)
step(
    "minute chart", lambda: [row["stck_cntg_hour"] for row in kis._fetch_today_1m_ohlcv(NAME, given["hour"])["output2"]]
)
step("market buy", lambda: kis.create_market_buy_order(NAME, 10)["output"]["ODNO"])
step("balance", lambda: [[row["pdno"], row["hldg_qty"]] for row in kis.fetch_balance()["output1"]])
limit = {}
step("limit buy", lambda: limit.setdefault("first", kis.create_limit_buy_order(NAME, LOW, 5))["output"]["ODNO"])
placed = limit["first"]["output"]
step(
    "modify",
    lambda: limit.setdefault(
        "second", kis.modify_order(placed["KRX_FWDG_ORD_ORGNO"], placed["ODNO"], "00", LOW + STEP, 5, True)
    )["output"]["ODNO"],
)
step(
    "order list",
    lambda: [
        [row["odno"], row["orgn_odno"], row["psbl_qty"], row["ord_unpr"]]
        for row in kis.fetch_open_order(
            {"CTX_AREA_FK100": "", "CTX_AREA_NK100": "", "INQR_DVSN_1": "0", "INQR_DVSN_2": "0"}
        )["output"]
    ],
)
changed = limit["second"]["output"]
step("cancel", lambda: kis.cancel_order(changed["KRX_FWDG_ORD_ORGNO"], changed["ODNO"], 5, True)["rt_cd"])
step("market sell", lambda: kis.create_market_sell_order(NAME, 4)["rt_cd"])
step("refused order", lambda: kis.create_limit_buy_order(NAME, LOW, 10_000_000)["rt_cd"])
