"""What is put into files, and what is told of them."""

import json


def told(report):
    return [str(fault) for fault in report.faults]


def pod(name="p", model="m", kind="Pod", **metadata):
    labels = {"model.aibrix.ai/name": model, "model.aibrix.ai/port": "8000"} | metadata.pop("labels", {})
    return {"kind": kind, "metadata": {"name": name, "labels": labels, **metadata}}


def configured(config, name="p", **metadata):
    text = config if isinstance(config, str) else json.dumps(config)
    return pod(name, annotations={"model.aibrix.ai/config": text}, **metadata)


def deployment(template, kind="Deployment", **metadata):
    template = {"metadata": {**template["metadata"], "creationTimestamp": None}, "spec": {"containers": []}}
    return {"kind": kind, "metadata": {"name": "d", **metadata}, "spec": {"template": template}}
