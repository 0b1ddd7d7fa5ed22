"""Charts as PNG, by matplotlib. Owns: the drawing for Markdown. Must not: be imported before a chart is wanted."""

from __future__ import annotations

import io

from runoff.report.model import Chart
from runoff.report.palette import COLOURS, MARKERS

__all__ = ["to_png"]


def to_png(chart: Chart) -> bytes:
    """Draw a chart; runs differ by colour and marker, training from validation by dashes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = list(dict.fromkeys(series.label.rpartition(",")[0] for series in chart.series))
    for series in chart.series:
        index = names.index(series.label.rpartition(",")[0])
        axes.plot(
            series.x,
            series.y,
            label=series.label,
            color=COLOURS[index % len(COLOURS)],
            linestyle="--" if series.dashed else "-",
            marker=None if series.dashed else MARKERS[index % len(MARKERS)],
            markersize=5,
            linewidth=1.2 if series.dashed else 1.8,
        )
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.xaxis.set_major_formatter(lambda value, _position: f"{value:,.0f}" if value == int(value) else f"{value:g}")
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(chart.series) <= 24:
        axes.legend(frameon=False, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
