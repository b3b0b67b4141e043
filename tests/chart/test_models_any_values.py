"""Whatever numbers a model is given: they are refused with a sentence, or what comes out holds together."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chart.cases_models import model
from tests.chart.checks import faults
from tests.chart.engines import engines
from tests.chart.rendering import Refused, render

NUMBERS = st.integers(0, 40)
POSITIVE = st.integers(1, 40)
SHARES = st.one_of(st.integers(0, 2), st.sampled_from(["0%", "25%"]))


def maybe(**options):
    """A map that may have each of the keys."""
    return st.fixed_dictionaries({}, optional=options)


def probe(least, most):
    return maybe(initialDelaySeconds=NUMBERS, periodSeconds=POSITIVE, failureThreshold=st.integers(least, most))


# about every other draw contradicts itself
MODELS = maybe(
    replicas=st.integers(0, 3),
    port=st.integers(1, 65535),
    engine=st.sampled_from(["vllm", "simulated"]),
    hardened=st.booleans(),
    probes=maybe(
        loadSeconds=st.integers(1, 200),
        startup=probe(10, 40),
        readiness=probe(1, 4),
        liveness=probe(4, 40),
        preset=st.sampled_from(["default", "readiness-only"]),
    ),
    drain=st.fixed_dictionaries(
        {"shutdownTimeout": NUMBERS, "gracePeriodSeconds": st.integers(40, 120)},
        optional={"preStopSeconds": NUMBERS, "supportsShutdownTimeout": st.booleans()},
    ),
    rollout=maybe(
        mode=st.sampled_from(["surge", "in-place", "recreate"]), maxUnavailable=SHARES, imagePullSeconds=NUMBERS
    ),
    autoscaling=maybe(enabled=st.booleans(), minReplicas=st.integers(1, 5), maxReplicas=st.integers(3, 5)),
    cache=st.sampled_from([{}, {"type": "pvc"}, {"type": "pvc", "size": "1Gi"}, {"accessMode": "ReadWriteOnce"}]),
    disaggregation=maybe(rolesets=st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True)),
)


def window(probe):
    return probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"]


def holds(spec, given):
    """Assert of a Deployment's spec what no number may break."""
    (engine,) = spec["template"]["spec"]["containers"]
    load = given.get("probes", {}).get("loadSeconds", 600)
    if "startupProbe" in engine:
        assert window(engine["startupProbe"]) >= load
        live, ready = ({**engine[f"{kind}Probe"], "initialDelaySeconds": 0} for kind in ("liveness", "readiness"))
        assert window(live) > window(ready)
    drain = {"preStopSeconds": 15, "shutdownTimeout": 540, **given.get("drain", {})}
    assert (
        spec["template"]["spec"]["terminationGracePeriodSeconds"] > drain["preStopSeconds"] + drain["shutdownTimeout"]
    )
    pull = given.get("rollout", {}).get("imagePullSeconds", 900)
    assert spec["progressDeadlineSeconds"] >= load + drain["preStopSeconds"] + pull
    assert ("replicas" in spec) is not given.get("autoscaling", {}).get("enabled", False)
    numbers = spec["strategy"].get("rollingUpdate", {"maxSurge": 1}).values()
    assert any(number not in {0, "0%"} for number in numbers)


@settings(max_examples=40)
@given(MODELS)
def test_any_numbers(values):
    said = ""
    try:
        objects = render(model(values))
    except Refused as refused:
        said = str(refused)
    if said:
        assert re.search(r"\nmodels\.llama\.\S+: ", said)
        return
    assert faults(objects) == []
    found = engines(objects)
    assert len(found) == 2 * len(values.get("disaggregation", {}).get("rolesets", [])) or len(found) == 1
    for item in found.values():
        holds(item["spec"], values)
