"""Figures as text: SVG inside a page, PNG inside Markdown. The same figure always gives the same bytes."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from salesml_assets.reporting.style import styled
from salesml_assets.text import clean

# Dagster keeps metadata in its database: a figure in it stays small.
MAX_MARKDOWN_BYTES = 150_000
RESOLUTIONS = (130, 100, 80, 60, 40)
UNSIGNED = {"Date": None, "Creator": None}


@contextmanager
def _any_script() -> Iterator[None]:
    """Lets names in scripts that the bundled font lacks pass: browsers draw them from their own fonts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        yield


@styled
def figure_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an `<svg>` element to stand inside an HTML page, scaled to the width it is given.

    From then on the figure's axes stay where they are: to arrange them again takes as long as to draw them.

    Args:
        figure: The figure.
        name: Prefix of the element's ids, different for each figure of a page.
        alt: What the figure shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with _any_script():
        # `savefig` would draw it twice, the first time for its layout alone.
        FigureCanvasSVG(figure).print_svg(buffer, metadata=UNSIGNED)  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>\s*", "", drawing, flags=re.DOTALL)
    # Inside HTML neither namespaces nor the older link attribute are needed; ids have to be unique on the page.
    drawing = drawing.replace("xlink:href=", "href=")
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    width, height = figure.get_size_inches() * 72
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(clean(alt, 1000), quote=True)}">'
    return opening + drawing[drawing.index(">") + 1 :].strip()


@styled
def figure_png(figure: Figure, dpi: int = 130) -> bytes:
    """The figure as a PNG image of at most 256 colours, which takes a third of the bytes of all colours."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    with _any_script():
        canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = Image.fromarray(drawn).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def figure_png_base64(figure: Figure, max_bytes: int = MAX_MARKDOWN_BYTES) -> str:
    """The figure as base64 text of a PNG image, at the best resolution that stays within `max_bytes`.

    Raises:
        ValueError: Even the lowest resolution is too large.
    """
    for dpi in RESOLUTIONS:
        text = base64.b64encode(figure_png(figure, dpi)).decode("ascii")
        if len(text) <= max_bytes:
            return text
    raise ValueError(f"the figure needs {len(text)} bytes at {dpi} dpi, more than {max_bytes}")


def figure_markdown(figure: Figure, alt: str) -> str:
    """The figure as a Markdown image that holds its own data, for Dagster's metadata (at most 150 kB)."""
    label = re.sub(r"([\\\[\]<>`!])", r"\\\1", clean(alt, 300))
    prefix = f"![{label}](data:image/png;base64,"
    return f"{prefix}{figure_png_base64(figure, MAX_MARKDOWN_BYTES - len(prefix.encode()) - 1)})"
