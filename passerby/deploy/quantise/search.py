"""Which calibration method, and which layers in float: the smallest loss of accuracy that a budget allows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from passerby.deploy.quantise import smaller
from passerby.deploy.quantise.calibrate import METHODS, Seen, find_ranges
from passerby.deploy.quantise.graph import Graph, Layer
from passerby.deploy.quantise.int8 import write_int8
from passerby.deploy.quantise.judging import Judge
from passerby.deploy.quantise.sensitivity import Damage, drift, measure
from passerby.errors import ParityError, SettingError, did_you_mean
from passerby.records import Pixels

Attempt = Callable[..., "Trial"]  # of `search`: method, layers in float, why, layers in four bits
LARGEST_SHARE = 0.5  # of multiply-adds in float: beyond it the file is hardly an INT8 file any more


class Tell(Protocol):
    """Where progress goes; `cli.progress.Progress` is one."""

    def line(self, text: str) -> None:
        """What stays."""
        ...

    def step(self, text: str) -> None:
        """What may be written over."""
        ...


@dataclass(frozen=True)
class Trial:
    """One file that was judged.

    method  of calibration
    kept    layers in float, by name
    value   of the judge's measure, 0..1, on the pictures that judge
    lost    points of it that it is below the float file
    strain  what else must hold, in multiples of its limit: `judging.Verdict`
    share   of multiply-adds that are in float, 0..1
    size    bytes
    why     what it was tried for
    packed  layers whose weights are stored in four bits, by name
    """

    method: str
    kept: tuple[str, ...]
    value: float
    lost: float
    strain: float
    share: float
    size: int
    why: str
    packed: tuple[str, ...] = ()

    def holds(self, budget: float) -> bool:
        """Whether it may be taken."""
        return self.lost <= budget and self.strain <= 1


@dataclass(frozen=True)
class Found:
    """What a search came to.

    data     the file
    chosen   its trial, one of `trials`
    measure  of the judge: AP50 or AUC
    value    of the float file
    damages  of every layer alone, the worst first
    """

    data: bytes
    chosen: Trial
    trials: tuple[Trial, ...]
    measure: str
    value: float
    damages: tuple[Damage, ...]


def search(
    graph: Graph,
    seen: Mapping[str, Seen],
    inputs: Sequence[Pixels],
    judge: Judge,
    budget: float,
    methods: Sequence[str],
    tell: Tell,
    threads: int = 0,
    most: int | None = None,
) -> Found:
    """Find the INT8 file that loses at most `budget` points of accuracy and keeps the fewest layers in float.

    The layers at the ends (`Graph.ends`) always stay float. Methods are compared so: of those that keep the budget the
    one is taken whose answers stay nearest to the float ones, since accuracy on a few hundred pictures differs by
    chance; where none keeps it, the one that loses least. Of that one every layer is tried in INT8 alone, and while the
    loss is over the budget, the layers that do most damage are kept in float too: the fewest that are enough, found by
    bisection over that order.

    Where the file is larger than `most` then, the weights of some layers are stored in four bits (`four_bits`): those
    that do the least damage for what they save, as many as are needed, or as the budget allows.

    seen    of `observe`
    inputs  pictures for the layers' damage, (1, H, W, 3) uint8 each
    judge   of files; the budget is in points of its measure
    most    bytes that the file may have, where that is within reach; None: as many as it likes

    Raises ParityError where not even with LARGEST_SHARE of the multiply-adds in float the budget is kept, saying what
    was reached; SettingError for an unknown method or a budget under 0.
    """
    check(methods, budget)
    base = judge(graph.proto.SerializeToString(), graph.spec).value
    trials: list[Trial] = []
    files: dict[Trial, bytes] = {}
    ranges = {m: find_ranges(seen, m) for m in methods}
    ends = graph.ends()

    def attempt(method: str, kept: Collection[Layer], why: str, packed: Collection[Layer] = ()) -> Trial:
        nodes = {x.node for x in kept}
        names = tuple(x.name for x in graph.layers if x.node in nodes)
        data = write_int8(graph, ranges[method], nodes, {x.node for x in packed})
        found = judge(data, graph.spec.with_(precision="int8"))
        share = sum(x.macs for x in kept) / max(graph.macs, 1)
        lost, fours = 100 * (base - found.value), tuple(x.name for x in packed)
        trial = Trial(method, names, found.value, lost, found.strain, share, len(data), why, fours)
        trials.append(trial)
        files[trial] = data
        tell.line(
            f"{method}, {len(names)} of {len(graph.layers)} layers in float: {told_loss(trial, judge.measure)} ({why})"
        )
        return trial

    tell.line(f"float: {judge.measure} {100 * base:.2f}")
    firsts = [attempt(m, ends, "the ends in float") for m in methods]
    apart = {t: drift(graph, files[t], inputs, threads) if len(firsts) > 1 else 0.0 for t in firsts}
    best = min(firsts, key=lambda t: (0.0, apart[t]) if t.holds(budget) else (max(t.strain, 1.0), t.lost))
    if len(firsts) > 1:
        told = ", ".join(f"{t.method} {apart[t]:.4f}" for t in firsts)
        tell.line(f"how far answers move: {told}; {best.method} is taken")
    attempt(best.method, (), "every layer in INT8, for comparison")
    damages = measure(graph, ranges[best.method], inputs, threads, lambda k, n: tell.step(f"layers alone: {k}/{n}"))
    chosen = best if best.holds(budget) else _keep_more(graph, damages, best, budget, attempt, judge.measure)
    if most is not None and chosen.size > most:
        ranked = smaller.rank(
            graph,
            ranges[chosen.method],
            chosen.kept,
            inputs,
            threads,
            lambda k, n: tell.step(f"layers alone, in four bits: {k}/{n}"),
        )
        chosen = _pack(graph, ranked, chosen, most, budget, attempt)
        if chosen.size > most:
            tell.line(
                f"{chosen.size / 1e6:.2f} MB, over the {most / 1e6:.2f} MB of --size: no more weights go into four "
                "bits within the budget"
            )
    return Found(files[chosen], chosen, tuple(trials), judge.measure, base, tuple(damages))


def check(methods: Sequence[str], budget: float) -> None:
    """Raises SettingError for an unknown method or a budget that is no number from 0 on."""
    for m in methods:
        if m not in METHODS:
            raise SettingError(f"no calibration method '{m}'{did_you_mean(m, [*METHODS, 'all'])}")
    if not 0 <= budget < 100:
        raise SettingError(f"the budget is {budget} points of accuracy, want a number from 0 on, e.g. 0.3")


def told_loss(trial: Trial, measure: str) -> str:
    """A trial's accuracy in words."""
    word = "lower" if trial.lost >= 0 else "higher"
    moved = f", maps and scores at {trial.strain:.2f} times their limits" if trial.strain else ""
    return f"{measure} {100 * trial.value:.2f}, {abs(trial.lost):.2f} points {word}{moved}"


def _keep_more(
    graph: Graph,
    damages: Sequence[Damage],
    best: Trial,
    budget: float,
    attempt: Attempt,
    measure: str,
) -> Trial:
    """The fewest of the most damaging layers that have to stay float besides the ends, by bisection."""
    ends = graph.ends()
    ranked = [d.layer for d in damages if not d.layer.end]
    share = sum(x.macs for x in ends)
    most = 0
    while most < len(ranked) and share + ranked[most].macs <= LARGEST_SHARE * graph.macs:
        share += ranked[most].macs
        most += 1

    def keep(many: int) -> Trial:
        return attempt(best.method, [*ends, *ranked[:many]], f"the {many} most damaging kept too")

    last = keep(most)
    if not last.holds(budget):
        beside = f", maps and scores at {last.strain:.2f} times their limits" if last.strain > 1 else ""
        more = ", or a limit by --limit" if beside else ""
        raise ParityError(
            f"{graph.spec.name}: INT8 loses {best.lost:.2f} points of {measure}, and {last.lost:.2f} with the {most} "
            f"most damaging layers in float ({100 * last.share:.0f} % of the multiply-adds){beside}: over the "
            f"budget of {budget:g}; raise --budget{more}, calibrate with more pictures like those that judge, or "
            "fine-tune the model for INT8"
        )
    return _fewest(most, last, keep, budget)


def _pack(graph: Graph, ranked: Sequence[Damage], eight: Trial, most: int, budget: float, attempt: Attempt) -> Trial:
    """The trial with enough weights in four bits, or as many as the budget allows; `eight` where it allows none."""
    kept = [x for x in graph.layers if x.name in eight.kept]

    def pack(layers: Sequence[Layer]) -> Trial:
        return attempt(eight.method, kept, f"in four bits: {len(layers)} of {len(graph.layers)} layers", layers)

    wanted = smaller.fewest(ranked, eight.size - most)
    if not wanted:
        return eight
    trial = pack(wanted)
    if trial.holds(budget):
        return trial
    order = [d.layer for d in ranked if d.layer in wanted]
    return _fewest(len(order), eight, lambda back: pack(order[: len(order) - back]), budget)


def _fewest(enough: int, chosen: Trial, attempt: Callable[[int], Trial], budget: float) -> Trial:
    """The trial with the fewest layers given back that keeps the budget, by bisection.

    enough   so many given back keep it, in the trial `chosen`; none does not
    attempt  -> the trial with so many given back
    """
    low, high = 0, enough
    while high - low > 1:
        middle = (low + high) // 2
        trial = attempt(middle)
        if trial.holds(budget):
            high, chosen = middle, trial
        else:
            low = middle
    return chosen
