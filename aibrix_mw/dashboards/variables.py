"""What stands at the head of every board."""

from aibrix_mw.dashboards.grafana import Variable
from aibrix_mw.telemetry.families import READY_PODS, STORE_SHARED

DATASOURCE = Variable(name="datasource", label="Prometheus", kind="prometheus", query="prometheus")
NAMESPACE = Variable(
    name="namespace", label="Namespace", kind="label", query=f"label_values({STORE_SHARED}, namespace)"
)
GATEWAY = Variable(
    name="job", label="Gateway", kind="label", query=f'label_values({STORE_SHARED}{{namespace=~"$namespace"}}, job)'
)
MODEL = Variable(
    name="model",
    label="Model",
    kind="label",
    query=f'label_values({READY_PODS}{{namespace=~"$namespace", job=~"$job"}}, model)',
)

USUAL = (DATASOURCE, NAMESPACE, GATEWAY, MODEL)
TEMPO = Variable(name="tempo", label="Tempo", kind="tempo", query="tempo")
SERVICE = Variable(name="service", label="Service name", kind="text", query="aibrix-mw")
JAEGER = Variable(name="jaeger", label="Jaeger URL", kind="text", query="http://localhost:16686")
