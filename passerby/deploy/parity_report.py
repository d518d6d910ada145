"""A certificate as a table for people, as JSON for programs and cards, and its limits in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from passerby.deploy.parity import Certificate
    from passerby.deploy.parity_shift import Spread
    from passerby.measure.speed import Ratio

FORMAT = 1  # of the JSON
WORDS = {  # limit: what it is of, its unit, how many of its units make 1
    "box_p99": ("1 in 100 boxes moved by more than", " px", 1.0),
    "score_p99": ("1 in 100 scores moved by more than", "", 1.0),
    "changed": ("detections lost or gained are", " % of those shown", 100.0),
    "ap50": ("AP50 fell by", " points", 1.0),
    "mr2": ("MR^-2 rose by", " points", 1.0),
    "maps_p99": ("1 in 100 points of the maps moved by more than", " of a map's largest value", 1.0),
}


def sentence(name: str, value: float, limit: float) -> str:
    """A limit that does not hold, in words."""
    words, unit, scale = WORDS[name]
    return f"{words} {value * scale:.3g}{unit} (limit {limit * scale:g})"


def as_record(c: Certificate) -> dict[str, Any]:
    """Everything as plain JSON; what was not measured is null."""
    record: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "before": asdict(c.before),
            "after": asdict(c.after),
            "data": c.data,
            "pictures": c.pictures,
            "objects": c.objects,
            "change": c.change,
            "pairs": len(c.shift.boxes),
            "box_px": asdict(c.boxes),
            "score": asdict(c.scores),
            "shown": {"before": c.shift.before, "after": c.shift.after, "lost": c.shift.lost, "gained": c.shift.gained},
            "worst_picture": c.worst or None,
            "raw": None if c.raw is None else asdict(c.raw),
            "maps": None if c.maps is None else asdict(c.maps),
            "accuracy": {name: asdict(a) for name, a in c.accuracy.items()},
            "time": asdict(c.time),
            "network_time": asdict(c.network_time),
            "limits": asdict(c.limits),
            "broken": c.broken(),
            "machine": dict(c.machine),
        }
    )
    return record


def as_text(c: Certificate) -> str:
    """Names, a row a number, and which limits hold."""
    lines = [f"before: {_side(c, 'before')}", f"after:  {_side(c, 'after')}"]
    objects = f", {c.objects} objects" if c.objects else ", no boxes labelled: accuracy is not measured"
    lines += [f"{c.data or 'pictures'}: {c.pictures} pictures{objects}", ""]
    lines.append(f"{'':<22}{'before':>10}{'after':>10}   change")
    for name, title in (("ap50", "AP50, %"), ("mr2", "MR^-2, %")):
        if a := c.accuracy.get(name):
            d = a.difference
            spread = f"{100 * d.value:+.2f} ({100 * d.low:+.2f} to {100 * d.high:+.2f})" + (": a tie" if d.tie else "")
            lines.append(f"{title:<22}{100 * a.before:>10.2f}{100 * a.after:>10.2f}   {spread}")
    s = c.shift
    lines.append(f"{'shown':<22}{s.before:>10}{s.after:>10}   {s.lost} lost, {s.gained} gained")
    if c.before.bytes and c.after.bytes:
        share = c.before.bytes / c.after.bytes
        sizes = f"{c.before.bytes / 1e6:>10.2f}{c.after.bytes / 1e6:>10.2f}"
        lines.append(f"{'file, MB':<22}{sizes}   {_times(share, 'smaller', 'larger')}")
    for title, key, ratio in (("ms a picture", "ms", c.time), ("ms, network alone", "network_ms", c.network_time)):
        times = f"{getattr(c.before, key):>10.2f}{getattr(c.after, key):>10.2f}"
        lines.append(f"{title:<22}{times}   {_speed(ratio)}")
    lines += ["", f"{'':<34}{'p50':>10}{'p99':>10}{'most':>10}"]
    lines.append(_spread(f"{len(s.boxes)} pairs: boxes moved by, px", c.boxes))
    lines.append(_spread("scores moved by", c.scores))
    if c.raw:
        lines.append(_spread("default boxes, px of the input", c.raw.boxes))
        lines.append(_spread(f"their scores ({c.raw.pictures} pictures)", c.raw.scores))
    if c.maps:
        lines.append(_spread("scores of whole pictures", c.maps.scores))
        lines.append(_spread("maps, shares of their largest", c.maps.maps))
    if c.worst:
        lines.append(f"most detections lost and gained in {c.worst}")
    return "\n".join([*lines, "", *_verdict(c)])


def plain(thing: Any) -> Any:
    """Numbers to six digits, what is no number as null, tuples as lists."""
    if isinstance(thing, Mapping):
        return {str(k): plain(v) for k, v in thing.items()}
    if isinstance(thing, (list, tuple)):
        return [plain(v) for v in thing]
    if isinstance(thing, float):
        return round(thing, 6) if math.isfinite(thing) else None
    return thing


def _verdict(c: Certificate) -> list[str]:
    """Which limits hold, which do not, and which had nothing to be measured on."""
    limits = {k: v for k, v in asdict(c.limits).items() if v is not None}
    for name in ("maps_p99",) if c.maps is None else ("box_p99", "changed"):
        limits.pop(name, None)
    values = c.measured()
    lines = [f"limits for {c.change}:"]
    for name, limit in limits.items():
        words, unit, scale = WORDS[name]
        value = values[name]
        told = "nothing to measure it on" if value is None else f"{value * scale + 0.0:.3g}"
        held = "" if value is None else ("" if value <= limit else "   BROKEN")
        lines.append(f"  {words}: {told}{unit if value is not None else ''} (limit {limit * scale:g}){held}")
    if c.silent():
        lines.append("  neither finds anything in these pictures, which proves nothing   BROKEN")
    if c.raw and not c.raw.finite:
        lines.append("  default boxes or their scores are no numbers   BROKEN")
    return lines


def _side(c: Certificate, which: str) -> str:
    side = getattr(c, which)
    return f"{side.name} by {side.engine}, {side.precision}, threshold {side.threshold:g}"


def _spread(title: str, s: Spread) -> str:
    if math.isnan(s.most):
        return f"{title:<34}{'-':>10}{'-':>10}{'-':>10}"
    return f"{title:<34}" + "".join(f"{v:>10.3g}" for v in (s.p50, s.p99, s.most))


def _times(share: float, less: str, more: str) -> str:
    return f"{share:.2f} times {less}" if share >= 1 else f"{1 / share:.2f} times {more}"


def _speed(r: Ratio) -> str:
    spread = f"{r.value:.2f} ({r.low:.2f} to {r.high:.2f}) times as fast"
    return spread + (": a tie" if r.tie else "")


def summary(record: Mapping[str, Any]) -> str:
    """A stored certificate in a line; what it does not say is left out."""

    def at(*keys: str) -> Any:
        found: Any = record
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    parts = [f"against {at('before', 'name')} by {at('before', 'engine')}, {at('pictures')} pictures of {at('data')}"]
    values = [
        ("1 in 100 boxes moved by over {:.3g} px", at("box_px", "p99")),
        ("AP50 {:+.2f} points", None if (d := at("accuracy", "ap50", "difference", "value")) is None else 100 * d),
        ("{} lost", at("shown", "lost")),
        ("{} gained", at("shown", "gained")),
        ("network {:.2f} times as fast", at("network_time", "value")),
    ]
    parts += [words.format(v) for words, v in values if isinstance(v, (int, float))]
    broken = at("broken")
    parts.append("limits broken: " + "; ".join(map(str, broken)) if broken else "all limits kept")
    return ", ".join(parts)
