"""The page of figures names the missing results and keeps its handwritten part."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import performance


def test_a_page_without_results_names_the_commands_and_keeps_the_handwritten_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"no longer true\n{performance.MARKER}\nby hand\n", "utf-8")
    monkeypatch.setattr(performance, "DOCUMENT", page)
    monkeypatch.setattr(performance, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(performance, "read", lambda _name: None)

    performance.report()

    text = page.read_text("utf-8")
    assert "`python -m bench burst`" in text
    assert "no longer true" not in text
    assert text.endswith(f"{performance.MARKER}\nby hand\n")
