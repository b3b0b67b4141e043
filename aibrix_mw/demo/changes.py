"""Features of files that change while the gateway runs."""

from aibrix_mw.demo.choices import FIRST
from aibrix_mw.demo.stage import ALIAS, pods_text, settings_text
from aibrix_mw.demo.tour import Visitor

SAMPLE = 60
_LATER = "my-later-alias"


async def pod_leaves(visitor: Visitor) -> str:
    """Ready pods while the file says that one is not, who answers then, and ready pods after it."""
    text = pods_text(visitor.stage.engines, not_ready=[FIRST])
    with visitor.edited(visitor.stage.pods_file, text):
        during = await visitor.eventually(1, visitor.ready_pods)
        answer = await visitor.ask()
    return f"{during} ready, {answer.headers['target-pod']}; {await visitor.eventually(2, visitor.ready_pods)} ready"


async def broken_file(visitor: Visitor) -> str:
    """Faults and ready pods while the pod file is broken."""

    async def faults() -> object:
        return len((await visitor.status())["faults"])

    with visitor.edited(visitor.stage.pods_file, "items: ["):
        during = f"{await visitor.eventually(1, faults)} fault, {await visitor.ready_pods()} ready"
    return f"{during}; {await visitor.eventually(0, faults)} faults"


async def settings_change(visitor: Visitor) -> str:
    """Whether an alias is known before and after it is written into the settings file."""

    async def known() -> object:
        return (await visitor.gateway.get(f"/v1/models/{_LATER}")).status_code

    before, stage = await known(), visitor.stage
    text = settings_text((stage.port, stage.admin_port), stage.pods_file, [ALIAS, _LATER], stage.store)
    with visitor.edited(stage.settings_file, text):
        during = await visitor.eventually(200, known)
    return f"{before}, {during}, {await visitor.eventually(404, known)}"


async def slow_start(visitor: Visitor) -> str:
    """How much of the traffic a pod gets that has just turned Ready, out of two that are chosen at random."""
    with visitor.edited(visitor.stage.pods_file, pods_text(visitor.stage.engines, not_ready=[FIRST])):
        await visitor.eventually(1, visitor.ready_pods)
    await visitor.eventually(2, visitor.ready_pods)
    answers = [await visitor.ask({"routing-strategy": "random"}, max_tokens=1) for _ in range(SAMPLE)]
    share = sum(answer.headers["target-pod"] == FIRST for answer in answers) / SAMPLE
    return "less than a third" if share < 1 / 3 else f"{share:.0%}"
