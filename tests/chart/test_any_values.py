"""Values that nobody has thought of: rendered whole, or refused by a guard with its path, never by accident."""

import re

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.chart.checks import faults, settings_faults
from tests.chart.rendering import Refused, render

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
LABELS = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}(\.io/[a-z]{1,8})?", fullmatch=True),
    st.one_of(
        st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True), st.integers(), st.booleans()
    ),
    max_size=2,
)
ANNOTATIONS = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.one_of(TEXTS, st.integers(), st.booleans())
)
SHARES = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda share: f"{share}%"))
SECRETS = ("clientKeys", "engineKey", "storePassword", "storeCA", "sessionKey", "tls")


def some(**strategies):
    """A map with some of these keys."""
    return st.fixed_dictionaries({}, optional=strategies)


def switched(**strategies):
    return some(enabled=st.booleans(), **strategies)


GATEWAY = some(
    replicas=st.integers(0, 5),
    watchAllNamespaces=st.booleans(),
    allowUnauthenticated=st.booleans(),
    rollout=some(maxSurge=SHARES, maxUnavailable=SHARES),
    autoscaling=switched(minReplicas=st.integers(1, 12), scaleDownStabilization=st.integers(0, 3600)),
    podDisruptionBudget=switched(maxUnavailable=SHARES, minAvailable=SHARES),
    terminationGracePeriodSeconds=st.one_of(st.none(), st.integers(1, 2000)),
    resources=some(limits=some(memory=st.sampled_from(["1Gi", "1G", "800Mi", "900000000", 2e9, "0.7Gi"]))),
    podLabels=LABELS,
    podAnnotations=ANNOTATIONS,
    topologySpreadConstraints=st.just([]),
    priorityClassName=st.sampled_from(["", "high"]),
)
SETTINGS = some(
    listen=some(port=st.integers(0, 65535), admin_port=st.integers(0, 65535)),
    shutdown=some(delay=st.floats(0, 60), grace=st.integers(0, 900)),
    users=some(records=st.dictionaries(TEXTS.filter(str.strip), some(rpm=st.integers(1, 10**9)), max_size=2)),
    routing=some(attempts=st.integers(1, 5), expose_target=st.booleans(), retry_budget=st.floats(0, 1)),
    models=st.dictionaries(TEXTS.filter(str.strip), some(aliases=st.just([])), max_size=2),
    discovery=some(kubernetes=some(enabled=st.booleans(), emit_events=st.booleans())),
    store=some(url=st.sampled_from(["redis://redis:6379/0", "rediss://user@redis:6380"])),
    log=some(level=st.sampled_from(["debug", "error"])),
)
VALUES = some(
    commonLabels=LABELS,
    gateway=GATEWAY,
    settings=SETTINGS,
    valkey=switched(persistence=switched(), image=some(digest=st.just("sha256:" + "0" * 64))),
    secrets=st.dictionaries(st.sampled_from(SECRETS), st.just({"name": "given"}), max_size=2),
    service=some(type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]), annotations=ANNOTATIONS),
    ingress=switched(preset=st.sampled_from(["nginx", "alb", "gke", "none"]), annotations=ANNOTATIONS),
    httpRoute=switched(parentRefs=st.just([{"name": "public"}]), timeouts=st.booleans()),
    networkPolicy=switched(egress=switched(apiServerCIDRs=st.just(["10.0.0.1/32"])), monitoring=st.just([])),
    monitoring=some(serviceMonitor=switched(), podMonitor=switched(), labels=LABELS),
    rbac=some(create=st.booleans()),
    serviceAccount=some(create=st.booleans(), annotations=ANNOTATIONS),
    tests=switched(),
)
GUARDED = re.compile(r"validate\.yaml:\d+:\d+\): \n[a-z]\w+\.[\w.]+: |values don't meet the specifications")


def tried(values):
    """The objects, and why there are none."""
    try:
        return render(values), None
    except Refused as refused:
        return [], str(refused)


@settings(max_examples=80, phases=[Phase.explicit, Phase.generate])  # to make a failure small takes minutes
@given(values=VALUES)
def test_values_are_rendered_whole_or_refused_with_a_path(values):
    objects, refusal = tried(values)
    assert refusal is None or GUARDED.search(refusal), refusal
    assert faults(objects) == []
    assert [fault for fault in settings_faults(objects) if not _is_of_several_settings(fault)] == []


def _is_of_several_settings(fault):
    """Combinations within the settings are the gateway's to refuse, at its start."""
    return fault.startswith(("store.", "models."))
