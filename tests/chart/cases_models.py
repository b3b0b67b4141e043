"""Values for the models: each option on, and the combinations that meet in one object."""

from itertools import product
from typing import Any

from tests.chart.pieces import PER_REPLICA, TRAP_TEXTS, Values, merged

LONG = "a-name-that-is-as-long-as-the-schema-allows-a-key"
PROFILES: Values = {
    "default": {"routingStrategy": "least-latency", "requestsPerSecond": 100},
    "batch": {"routingStrategy": "throughput", "requestsPerSecond": 20},
}
CONFIG: Values = {"defaultProfile": "default", "profiles": PROFILES}
PD: Values = {"disaggregation": {"rolesets": ["a"]}, "config": {"profiles": {"default": {"routingStrategy": "pd"}}}}
SCALED: Values = {"autoscaling": {"enabled": True}}
KEDA: Values = {"autoscaling": {"enabled": True, "kind": "keda", "prometheus": "http://prometheus.monitoring:9090"}}
CLAIM: Values = {"cache": {"type": "pvc", "size": "200Gi"}}
ALONE: Values = {"cache": {**CLAIM["cache"], "accessMode": "ReadWriteOnce"}}


def model(*parts: Values, key: str = "llama", **values: Any) -> Values:
    """Return values with one model."""
    return {"models": {key: merged(*parts, values)}}


ENGINES: dict[str, Values] = {
    "only a key": model(),
    "a name": model(name="llama-3"),
    "a name no label can hold": model(name="meta-llama/Llama-3.1-8B"),
    "a name of 70 characters": model(name="n" * 70),
    "simulated": model(engine="simulated"),
    "simulated with an image": model(engine="simulated", image="registry.example.com:5000/sim:1.0"),
    "simulated with arguments": model(engine="simulated", args=["--load-seconds", "5"], adapters={"sql": "org/sql"}),
    "image by digest": model(image="vllm/vllm-openai@sha256:" + "a" * 64),
    "image of a registry with a port": model(image="registry.example.com:5000/vllm:v0.32.0"),
    "source and revision": model(source="meta-llama/Llama-3.1-8B", revision="0e9e39f"),
    "source by arguments": model(args=["/models/llama", "--max-model-len", "8192"]),
    "served name by arguments": model(args=["--served-model-name", "llama", "gpt-4o"]),
    "arguments": model(args=["--max-model-len=8192", "--enable-prefix-caching"]),
    "another port": model(port=9000),
    "adapters": model(adapters={"sql": "org/sql-lora", "chat": "/adapters/chat"}),
    "a token": model(hfTokenSecret={"name": "hf"}),
    "no GPU": model(gpu={"count": 0}),
    "eight GPUs": model(gpu={"count": 8}, args=["--tensor-parallel-size", "8"]),
    "other GPUs": model(gpu={"resource": "amd.com/gpu", "count": 2}),
    "resources": model(resources={"requests": {"cpu": 4, "memory": "32Gi"}, "limits": {"memory": "64Gi"}}),
    "one replica": model(replicas=1),
    "two replicas": model(replicas=2),
    "no replica": model(replicas=0),
    "sized": model(sizing={"targetRps": 100, "sustainableRpsPerReplica": 8, "margin": 0.65}),
    "several": {"models": {"a": {"replicas": 2}, "b": {"engine": "simulated"}, "c": PD}},
    "defaults": {
        "modelDefaults": {"replicas": 3, "args": ["--max-model-len=4096"]},
        "models": {"a": {}, "b": {"replicas": 0}},
    },
    "models alone": merged(model(replicas=2), {"gateway": {"enabled": False}}),
    "a key named vllm": model(key="vllm"),
    "a key of digits": model(key="8000"),
    "the longest key": model(key=LONG),
    "everything long": merged(
        model({"disaggregation": {"rolesets": ["r" * 40]}}, key=LONG), {"fullnameOverride": "f" * 50}
    ),
    **{f"key {text}": model(key=text) for text in ("on", "1e3", "yes")},
    **{f"name {text}": model(name=text) for text in TRAP_TEXTS},
}

PODS: dict[str, Values] = {
    "variables": model(env=[{"name": "VLLM_LOGGING_LEVEL", "value": "8000"}, {"name": "HF_HOME", "value": "/models"}]),
    "variables of a Secret": model(envFrom=[{"secretRef": {"name": "env"}}]),
    "placed": model(
        nodeSelector={"gpu": "true"},
        tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}],
        affinity={"podAntiAffinity": {}},
        runtimeClassName="nvidia",
        priorityClassName="high",
    ),
    "spread": model(
        topologySpreadConstraints=[
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ]
    ),
    "volumes": model(volumes=[{"name": "more", "emptyDir": {}}], volumeMounts=[{"name": "more", "mountPath": "/more"}]),
    "pull secrets": merged(
        model(imagePullSecrets=[{"name": "b"}]), {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}
    ),
    "an account": model(serviceAccountName="engines"),
    "hardened": model(hardened=True),
    "hardened, another user": model(hardened=True, runAsUser=1001),
    "common labels": merged(model(), {"commonLabels": {"cost-center": 42}}),
    **{f"pod label {text}": model(labels={"t": text}) for text in TRAP_TEXTS if ":" not in text},
    **{f"pod annotation {text}": model(annotations={"t": text}) for text in TRAP_TEXTS},
}

TIMES: dict[str, Values] = {
    "loads fast": model(probes={"loadSeconds": 15}),
    "loads for an hour": model(probes={"loadSeconds": 3601}),
    "readiness only": model(probes={"preset": "readiness-only"}),
    "own probes": model(
        probes={
            "startup": {"periodSeconds": 5},
            "readiness": {"initialDelaySeconds": 0, "failureThreshold": 2},
            "liveness": {"failureThreshold": 30},
        }
    ),
    "no hook": model(drain={"preStopSeconds": 0}),
    "short drain": model(drain={"preStopSeconds": 5, "shutdownTimeout": 60, "gracePeriodSeconds": 70}),
    "no drain": model(drain={"preStopSeconds": 0, "shutdownTimeout": 0, "gracePeriodSeconds": 1}),
    "old image": model(drain={"supportsShutdownTimeout": False}),
    "old image, no hook": model(drain={"supportsShutdownTimeout": False, "preStopSeconds": 0}),
    "no pull": model(rollout={"imagePullSeconds": 0}),
}

ROLLOUTS: dict[str, Values] = {
    "surge": {},
    "surge of two": {"rollout": {"maxSurge": 2}},
    "surge in percent": {"rollout": {"maxSurge": "25%", "maxUnavailable": "0%"}},
    "in place": {"rollout": {"mode": "in-place"}},
    "recreate": {"rollout": {"mode": "recreate"}},
}
SIZES: dict[str, Values] = {
    "one": {"replicas": 1},
    "three": {"replicas": 3},
    "three, no budget": {"replicas": 3, "podDisruptionBudget": {"enabled": False}},
    "three, budget of zero": {"replicas": 3, "podDisruptionBudget": {"maxUnavailable": 0}},
    "hpa": SCALED,
    "hpa up to one": {"autoscaling": {"enabled": True, "maxReplicas": 1}},
    "hpa beside replicas": merged(SCALED, {"replicas": 3}),
    "keda": KEDA,
    "keda, any name": merged(KEDA, {"name": 'org/a"b\\c'}),
}
CACHES: dict[str, Values] = {
    "emptyDir": {"cache": {"size": "100Gi"}},
    "claim": CLAIM,
    "claim of a class": {"cache": {**CLAIM["cache"], "storageClassName": "nfs", "mountPath": "/models"}},
    "claim that exists": {"cache": {"type": "pvc", "claimName": "weights"}},
    "nodes": {"cache": {"type": "hostPath", "hostPath": "/var/cache/models"}},
}
ROLES: dict[str, Values] = {
    "roles": {},
    "two rolesets": {"disaggregation": {"rolesets": ["a", "b"]}},
    "compatibility": {"disaggregation": {"compatibility": "llama-fp8"}},
    "replicas of a role": {"disaggregation": {"prefill": {"replicas": 2}, "decode": {"replicas": 0}}},
    "sizes of a role": {
        "disaggregation": {"prefill": {"sizing": {"targetRps": 9, "sustainableRpsPerReplica": 2, "margin": 0.7}}}
    },
    "images of a role": {"disaggregation": {"compatibility": "x", "decode": {"image": "vllm/vllm-openai:v0.32.1"}}},
    "arguments of a role": {"disaggregation": {"prefill": {"args": ["--max-num-batched-tokens=16384"]}}},
    "another connector": {
        "disaggregation": {"kvTransferConfig": {"kv_connector": "MooncakeConnector", "kv_role": "kv_both"}}
    },
    "connector by arguments": {"args": ["--kv-transfer-config", "{}"]},
    "scaled roles": SCALED,
    "scaled decode": {"disaggregation": {"decode": SCALED}},
    "simulated roles": {"engine": "simulated"},
    "hardened roles": {"hardened": True, **CLAIM},
}
WHERE: dict[str, Values] = {
    "annotation": model(config=CONFIG),
    "settings": model(config=CONFIG, configIn="gateway"),
    "settings, any name": model(name="meta-llama/Llama-3.1-8B", config=CONFIG, configIn="gateway"),
    "settings beside others": merged(
        model(config=CONFIG, configIn="gateway"), {"settings": {"models": {"llama": {"aliases": ["l"]}}}}
    ),
    "names of a namespace": merged(
        model(config=CONFIG, configIn="gateway"),
        {"settings": {"discovery": {"kubernetes": {"model_scope": "namespace"}}}},
    ),
    "every option of a profile": model(
        config={
            "lockedRoutingStrategy": "",
            "requestsPerSecond": 1000000,
            "authoritativeRoutingPolicy": True,
            "profiles": {
                "default": {
                    "routingStrategy": "prefix-cache:3,least-request:1",
                    "requestsPerSecond": 0,
                    "requestsInflight": 64,
                    "requestsPerSecondPerReplica": 2.5,
                    "timeouts": {"first_byte_timeout": 30, "keepalive": 0},
                    "routingConfig": {"blockBytes": 64, "promptTokensLt": 4096, "deviationFactor": 1.5},
                }
            },
        }
    ),
    "an own strategy": model(config={"profiles": {"default": {"routingStrategy": "random"}}}),
}

CASES: dict[str, Values] = {
    f"model: {name}": merged(values, PER_REPLICA)
    for group in (ENGINES, PODS, TIMES, WHERE)
    for name, values in group.items()
}
for (rollout, first), (size, second) in product(ROLLOUTS.items(), SIZES.items()):
    CASES[f"model: {rollout}, {size}"] = model(first, second)
for (cache, values), size in product(CACHES.items(), ("one", "three", "hpa")):
    CASES[f"model: cache {cache}, {size}"] = model(values, SIZES[size])
for (role, values), rollout in product(ROLES.items(), ("surge", "in place")):
    CASES[f"model: {rollout}, {role}"] = model(PD, values, ROLLOUTS[rollout])
CASES["model: cache for one, in place"] = model(ALONE, rollout={"mode": "in-place"})
CASES["model: cache for one, recreate"] = model(ALONE, rollout={"mode": "recreate"}, replicas=0)
for name, more in (
    ("policy", {"networkPolicy": {"enabled": True}}),
    ("scraped", {"monitoring": {"podMonitor": {"enabled": True}}}),
):
    for engine, values in (("one", model()), ("roles", model(PD)), ("several", ENGINES["several"])):
        CASES[f"model: {name}, {engine}"] = merged(values, more)
CASES["model: policy, models alone"] = merged(
    model(PD), {"gateway": {"enabled": False}, "networkPolicy": {"enabled": True, "gateways": [{"podSelector": {}}]}}
)
