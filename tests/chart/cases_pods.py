"""Values for the gateway's pods and their names: each option on."""

from tests.chart.pieces import RESTRICTED, SCALED, TRAP_TEXTS, VALKEY, Values, gateway

CASES: dict[str, Values] = {
    "default": {},
    "one replica": gateway(replicas=1),
    "no replica": gateway(replicas=0),
    "many replicas": gateway(replicas=40),
    "autoscaling": SCALED,
    "autoscaling at once": gateway(autoscaling={"enabled": True, "scaleDownStabilization": 0}),
    "surge in percent": gateway(rollout={"maxSurge": "25%", "maxUnavailable": "10%"}),
    "no surge": gateway(rollout={"maxSurge": 0, "maxUnavailable": 1}),
    "no budget": gateway(podDisruptionBudget={"enabled": False}),
    "budget of zero": gateway(podDisruptionBudget={"maxUnavailable": 0}),
    "budget in percent": gateway(podDisruptionBudget={"maxUnavailable": "20%"}),
    "budget by minAvailable": gateway(replicas=3, podDisruptionBudget={"minAvailable": 2}),
    "budget by percent": gateway(podDisruptionBudget={"minAvailable": "50%"}),
    "long grace": gateway(terminationGracePeriodSeconds=1000),
    "resources": gateway(resources={"requests": {"cpu": "500m", "memory": "768Mi"}, "limits": {"memory": "1.5Gi"}}),
    "memory as a number": gateway(resources={"limits": {"memory": 2147483648}}),
    "no memory limit": gateway(resources={"limits": {"memory": None}}),
    "variables": gateway(env=[{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel:4318"}]),
    "variables of a Secret": gateway(envFrom=[{"secretRef": {"name": "env"}}]),
    "volumes": gateway(volumes=[{"name": "x", "emptyDir": {}}], volumeMounts=[{"name": "x", "mountPath": "/x"}]),
    "annotations": gateway(annotations={"a": 1}, podAnnotations={"b/c": True, "d": 1e3, "e": "x: y", "big": 67108864}),
    "pod labels": gateway(podLabels={"team": "llm", "number": 8000, "flag": True}),
    "node selector": gateway(nodeSelector={"kubernetes.io/os": "linux", "gpu": False, "pool": 7}),
    "tolerations": gateway(tolerations=[{"key": "k", "operator": "Exists", "effect": "NoSchedule"}]),
    "affinity": gateway(
        affinity={
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
                }
            }
        }
    ),
    "no spread": gateway(topologySpreadConstraints=[]),
    "own spread": gateway(
        topologySpreadConstraints=[
            {
                "maxSkew": 2,
                "topologyKey": "rack",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"a": "b"}},
            }
        ]
    ),
    "priority": gateway(priorityClassName="system-cluster-critical"),
    "sidecar": gateway(sidecars=[{"name": "proxy", "image": "proxy:1.2", "securityContext": RESTRICTED}]),
    "all namespaces": gateway(watchAllNamespaces=True),
    "own names": {"nameOverride": "llm", "fullnameOverride": "edge"},
    "longest name": {"fullnameOverride": "a" * 50},
    "common labels": {"commonLabels": {"cost-center": 42, "managed": True, "owner": "ml"}},
    "image by digest": {"image": {"repository": "registry.example.com:5000/aibrix-mw", "digest": "sha256:" + "0" * 64}},
    "image by tag": {"image": {"tag": "0.1.0-rc.1", "pullPolicy": "Always"}},
    "pull secrets": {"imagePullSecrets": [{"name": "registry"}], **VALKEY},
    "own account": {"serviceAccount": {"create": False, "name": "given"}},
    "default account": {"serviceAccount": {"create": False}},
    "account annotations": {"serviceAccount": {"name": "gateway", "annotations": {"iam.example.com/role": "x"}}},
    "no rbac": {"rbac": {"create": False}},
    "extra objects": {
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": "{{ .Release.Name }}-more",
                    "namespace": "llm",
                    "labels": {
                        "app.kubernetes.io/name": "x",
                        "app.kubernetes.io/instance": "x",
                        "app.kubernetes.io/component": "x",
                    },
                },
            }
        ]
    },
    **{
        f"label {text}": {"commonLabels": {"t": text}, **gateway(podLabels={"p": text}, podAnnotations={"a": text})}
        for text in TRAP_TEXTS
        if ":" not in text
    },
    **{f"annotation {text}": {"service": {"annotations": {"a": text}}} for text in TRAP_TEXTS},
}
