"""Small pictures in a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from timbre_data.commands.pages.terminal import HEIGHT, WIDTH, bars, draw_dataset, spectrogram
from timbre_data.pipeline.store.reader import Dataset


def test_bars_grow_with_the_numbers() -> None:
    assert bars([0, 1, 4, 8]) == " ▁▄█"
    assert bars([0, 0]) == "  "
    assert bars([]) == ""


def test_a_high_tone_is_drawn_above_a_low_one() -> None:
    time = np.arange(22_050) / 22_050

    def brightest(hertz: float) -> int:
        text = spectrogram(np.sin(2 * np.pi * hertz * time)[None].astype(np.float32), 22_050)
        lines = text.plain.rstrip("\n").split("\n")
        assert len(lines) == HEIGHT
        assert {len(line) for line in lines} == {WIDTH}
        middle = [text.spans[line * WIDTH + WIDTH // 2] for line in range(HEIGHT)]

        def light(style: str) -> int:
            return max(sum(bytes.fromhex(part.lstrip("#"))) for part in str(style).split(" on "))

        return int(np.argmax([light(str(span.style)) for span in middle]))

    assert brightest(6000) < brightest(1000) < brightest(150)


def test_a_dataset_is_drawn(render: Callable[..., Dataset]) -> None:
    data = render("delay", "drawn", n=64)
    out = io.StringIO()
    draw_dataset(data, Console(file=out, width=120, force_terminal=True, color_system="truecolor"))
    text = out.getvalue()
    for parameter in data.space:
        assert parameter.name in text
    assert text.count("row 0, dry") == text.count("row 0, wet") == 1
    assert "\x1b[38;2;" in text


def test_show_plot_draws_instead(
    render: Callable[..., Dataset], command: Callable[..., int], capsys: pytest.CaptureFixture[Any]
) -> None:
    render("delay", "drawn", n=64)
    capsys.readouterr()
    assert command("dataset", "show", "drawn", "--plot") == 0
    shown = capsys.readouterr().out
    assert "delay.mix" in shown
    assert "recipe:" not in shown
