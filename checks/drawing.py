"""Grafana's panels drawn as SVG on a page, plainly: enough to see whether a dashboard shows what it should."""

import html
import math

COLOURS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#3274d9", "#8ab8ff", "#96d98d", "#ffb357"]
NAMED = {"green": "#299c46", "orange": "#ed8128", "red": "#d44a3a"}
# Grafana's grid: 24 columns over the page, 30 px and a gap of 8 a row.
COLUMN, ROW, GAP = 75, 38, 8


def amount(value, unit, decimals=None):
    """A value as Grafana would write it, roughly."""
    if value is None or math.isnan(value):
        return "no data"
    if unit == "currencyUSD":
        return f"${value:,.{2 if abs(value) < 100 else 0}f}"
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s"
    suffix = {"bytes": "B", "Bps": "B/s", "cps": "/s"}.get(unit, "")
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {letter}{suffix}"
    return f"{value:.3g} {suffix}".strip()


def stat(panel, series):
    defaults = panel["fieldConfig"]["defaults"]
    values = [points[-1][1] for _, points in series if points]
    value = values[0] if values else None
    colour = "#2b2f36"
    if panel["options"]["colorMode"] == "background" and value is not None:
        for step in defaults["thresholds"]["steps"]:
            if step["value"] is None or value >= step["value"]:
                colour = NAMED[step["color"]]
    return colour, f'<div class="stat">{html.escape(amount(value, defaults["unit"], defaults.get("decimals")))}</div>'


def stacked(series):
    """Each series on top of those before it."""
    below, shown = {}, []
    for name, points in series:
        sums = [(at, value + below.get(at, 0)) for at, value in points if not math.isnan(value)]
        below.update(sums)
        shown.append((name, sums))
    return shown


def lines(panel, series, begin, end, width, height):
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    drawn = stacked(series) if "stacking" in defaults["custom"] else series
    values = [value for _, points in drawn for _, value in points if not math.isnan(value)]
    top = max(values, default=0) * 1.05 or 1
    left, bottom = 70, 18
    x = lambda at: left + (at - begin) / (end - begin) * (width - left - 6)
    y = lambda value: 6 + (1 - value / top) * (height - bottom - 6)
    parts = []
    for fraction in (0, 0.5, 1):
        at = y(top * fraction)
        parts.append(f'<path d="M{left} {at:.1f}H{width - 6}" stroke="#2c3235"/>')
        label = amount(top * fraction, unit)
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for at in range(int(begin), int(end), 30):
        parts.append(f'<text x="{x(at):.1f}" y="{height - 4}">{at - int(begin)} s</text>')
    for index, (_, points) in enumerate(drawn):
        steps, pen = [], "M"
        for at, value in points:
            if math.isnan(value):
                pen = "M"
                continue
            steps.append(f"{pen}{x(at):.1f} {y(value):.1f}")
            pen = "L"
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<path d="{"".join(steps)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    legend = []
    for index, (name, points) in enumerate(series):
        last = next((value for _, value in reversed(points) if not math.isnan(value)), None)
        text = f"{html.escape(name)} {amount(last, unit)}"
        legend.append(f'<span><b style="background:{COLOURS[index % len(COLOURS)]}"></b>{text}</span>')
    if not values:
        parts.append(f'<text x="{width / 2}" y="{height / 2}" fill="#f2495c">no data</text>')
    svg = f'<svg width="{width}" height="{height}">{"".join(parts)}</svg>'
    return f'{svg}<div class="legend">{"".join(legend)}</div>'


STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 12px sans-serif }
h1 { position: absolute; margin: 10px 14px; font-size: 18px }
.panel { position: absolute; background: #181b1f; border: 1px solid #2c3235; border-radius: 2px; overflow: hidden }
.row { position: absolute; font-size: 15px; font-weight: bold; padding: 8px }
.title { font-weight: bold; padding: 6px 8px }
.stat { font-size: 34px; text-align: center; padding-top: 18px; color: white }
.legend { padding: 0 8px } .legend span { margin-right: 12px; white-space: nowrap }
.legend b { display: inline-block; width: 12px; height: 4px; margin-right: 4px; vertical-align: middle }
text { fill: #9fa7b3; font-size: 10px }
"""

HEAD = 44


def page(dashboard, found, begin, end):
    """A dashboard's page and its size; `found` gives each panel's series by its id."""
    parts, bottom = [f"<h1>{html.escape(dashboard['title'])}</h1>"], 0
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * COLUMN, HEAD + place["y"] * ROW
        width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
        bottom = max(bottom, top + height + GAP)
        box = f"left:{left + GAP / 2}px;top:{top}px;width:{width}px;height:{height}px"
        title = html.escape(panel["title"])
        if panel["type"] == "row":
            parts.append(f'<div class="row" style="{box}">{title}</div>')
            continue
        colour = "#181b1f"
        if panel["type"] == "stat":
            colour, body = stat(panel, found[panel["id"]])
        else:
            body = lines(panel, found[panel["id"]], begin, end, width, height - 90)
        parts.append(f'<div class="panel" style="{box};background:{colour}"><div class="title">{title}</div>{body}</div>')
    text = f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{''.join(parts)}"
    return text, 24 * COLUMN, bottom
