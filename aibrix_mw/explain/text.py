"""An explanation for people: a decision a line, and a table of pods."""

from collections.abc import Iterator

from aibrix_mw.explain.told import Applied, Asked, Choice, Credentials, Explanation, LimitState, Refusal
from aibrix_mw.pods.exclusion import REASONS


def lines(told: Explanation) -> Iterator[str]:
    """The explanation as text."""
    yield from _line("request", _asked(told.asked))
    yield from _line("key", _key(told.credentials))
    yield from _line("profile", _applied(told.profile))
    yield from _line("strategy", _applied(told.strategy))
    yield from _line("filter", told.external_filter)
    for number, limit in enumerate(told.limits):
        yield from _line("" if number else "limits", _limit(limit, told.counted_by))
    yield from _pods(told)
    yield from _line("choice", _choice(told.choice))
    yield from _line("refused", _refusal(told.refused))
    for note in told.notes:
        yield from _line("note", note)


def _line(name: str, text: str | None) -> Iterator[str]:
    if text is not None:
        yield f"{name:<10}{text}"


def _asked(asked: Asked | None) -> str | None:
    if asked is None:
        return None
    alias = "" if asked.model == asked.requested_model else f", served by {asked.model}"
    parts = [
        f"POST {asked.path}, model {asked.requested_model}{alias}",
        f"about {asked.prompt_tokens} prompt tokens",
        f"at most {asked.max_tokens} to answer" if asked.max_tokens is not None else "",
        "streamed" if asked.stream else "",
        f"user {asked.user}" if asked.user else "no user",
    ]
    return ", ".join(filter(None, parts))


def _key(credentials: Credentials) -> str:
    if not credentials.needed:
        return "none is needed"
    return "left out; clients need one" if credentials.key is None else f"of {credentials.key}"


def _applied(applied: Applied | None) -> str | None:
    return None if applied is None else f"{applied.name} ({applied.source})"


def _limit(limit: LimitState, by: str | None) -> str:
    window = "a second" if limit.per == 1 else "a minute" if limit.per == 60 else f"in {limit.per:g} s"
    if limit.used is None or limit.left is None:
        return f"{limit.name}: {limit.limit} {window}, not counted now"
    full = "" if limit.left >= limit.cost else ", full"
    cost = f", this request takes {limit.cost}" if limit.cost > 1 else ""
    return f"{limit.name}: {limit.used} of {limit.limit} {window} used, {limit.left} left{cost}{full} (by {by})"


def _pods(told: Explanation) -> Iterator[str]:
    if not told.pods:
        return
    chosen = {told.choice.pod: "<- chosen", told.choice.prefill: "<- chosen to prefill"} if told.choice else {}
    best = "highest wins" if told.highest_wins else "lowest wins"
    rows = [("pods", "role", "address", "in flight", f"score, {best}", "")]
    for pod in told.pods:
        score = "-" if pod.score is None else f"{pod.score:.6g}"
        why = f"excluded: {REASONS.get(pod.excluded, pod.excluded)}" if pod.excluded else chosen.get(pod.name, "")
        name = f"{pod.namespace}/{pod.name}"
        rows.append((name, pod.role or "-", pod.address or "-", str(pod.in_flight), score, why))
    kept = [at for at in range(6) if at != 1 or any(pod.role for pod in told.pods)]
    widths = [max(len(row[at]) for row in rows) for at in kept]
    for row in rows:
        yield "  ".join(f"{row[at]:<{width}}" for at, width in zip(kept, widths, strict=True)).rstrip()


def _choice(choice: Choice | None) -> str | None:
    if choice is None:
        return None
    prefill = f"prefill on {choice.prefill} ({choice.prefill_address}), then " if choice.prefill else ""
    parts = [
        f"{prefill}{choice.pod} ({choice.address})",
        f"{choice.match:.0%} of the prompt is cached there" if choice.match is not None else "",
        f"least-request decided: {choice.fallback}" if choice.fallback else "",
        f"one pod alone: {choice.alone}" if choice.alone else "",
    ]
    return ", ".join(filter(None, parts))


def _refusal(refused: Refusal | None) -> str | None:
    return None if refused is None else f"{refused.status} {refused.code}: {refused.message} ({refused.outcome})"
