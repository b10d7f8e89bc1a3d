"""The table of weights is made from their cards alone."""

from __future__ import annotations

from zoo import cards


def test_mediapipes_meshes_stand_last_each_from_the_last_card_that_has_it(monkeypatch):
    names = cards.published()[:2]
    found = {name: dict(cards.read_card(name)) for name in names}
    usual, posed = cards.measured_sources(found[names[0]])

    def row(model: str, core12: float) -> dict:
        return {"model": model, "source": usual, "core12 %": core12, "core12 95 %": "1..2", "nme %": 4.0}

    found[names[0]]["mesh"] = [
        row(cards.MESH_NAME, 9.0),
        row(cards.LANDMARKER_NAME, 2.1),
        row(cards.LANDMARKER_NAME, 3.1) | {"source": posed},
    ]
    found[names[1]]["mesh"] = [row(cards.MESH_NAME, 2.4)]
    monkeypatch.setattr(cards, "published", lambda: names)
    monkeypatch.setattr(cards, "read_card", found.get)
    rows = cards.table_rows()
    assert [one["weights"] for one in rows] == [*names, cards.MESH_NAME, cards.LANDMARKER_NAME]
    assert [(one["input px"], one["core12 %"], one["posed core12 %"]) for one in rows[2:]] == [(192, 2.4, None), (256, 2.1, 3.1)]
    assert all(list(one) == list(rows[0]) for one in rows)
