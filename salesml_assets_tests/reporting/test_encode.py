"""Figures as text: small, the same bytes every time, free of addresses."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from salesml_assets.reporting.encode import (
    MAX_MARKDOWN_BYTES,
    figure_markdown,
    figure_png,
    figure_png_base64,
    figure_svg,
)
from salesml_assets.reporting.figures import error_by_horizon, metric_bars, pictures
from salesml_assets.reporting.style import new_figure

from .sample import full_report


def test_svg_is_the_same_every_time_and_holds_no_address():
    first, second = (figure_svg(metric_bars(full_report()), "bars", "Bars") for _ in range(2))
    assert first == second
    assert "http" not in first
    assert "<metadata" not in first
    assert first.startswith('<svg viewBox="0 0 792 ')


def test_a_figure_that_was_drawn_for_a_page_is_drawn_alike_as_an_image():
    first, second = metric_bars(full_report()), metric_bars(full_report())
    figure_svg(first, "x", "x")
    image, other = (imread(io.BytesIO(figure_png(figure))) for figure in (first, second))
    assert image.shape == other.shape
    # Axes may lie a pixel apart: text has other sizes in the two.
    assert np.mean(np.abs(image - other) > 0.5) < 0.05


def test_ids_of_two_figures_never_meet_and_every_reference_has_its_target():
    data = full_report()
    ids = []
    for name, picture in pictures(data).items():
        svg = figure_svg(picture.figure, name, picture.alt)
        own = re.findall(r'\bid="([^"]+)"', svg)
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_the_words_of_a_figure_are_escaped():
    svg = figure_svg(error_by_horizon(full_report()), "x", 'a "quoted" <b>')
    assert 'aria-label="a &quot;quoted&quot; &lt;b&gt;"' in svg


def test_png_is_the_same_every_time():
    first, second = (figure_png(metric_bars(full_report())) for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_markdown_holds_the_picture_and_stays_small():
    for picture in pictures(full_report()).values():
        text = figure_markdown(picture.figure, picture.alt)
        assert len(text.encode()) <= MAX_MARKDOWN_BYTES
        data = re.fullmatch(r"!\[.*\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", text)[1]
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_markdown_keeps_its_alternative_text_harmless():
    text = figure_markdown(metric_bars(full_report()), "a](http://x)<script>\n![b")
    assert text.startswith(r"![a\](http://x)\<script\> \!\[b](data:image/png;base64,")


def test_a_busy_figure_is_made_coarser_until_it_fits():
    figure = new_figure(4, 4)
    figure.subplots().imshow(np.random.default_rng(0).random((200, 200)), interpolation="nearest")
    whole = figure_png_base64(figure, 10_000_000)
    assert len(figure_png_base64(figure, 2 * len(whole) // 3)) <= 2 * len(whole) // 3
    with pytest.raises(ValueError, match="bytes at 40 dpi"):
        figure_png_base64(figure, 1000)
