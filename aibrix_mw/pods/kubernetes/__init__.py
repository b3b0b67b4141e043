"""Pods from a Kubernetes API server.

discovery.py   KubernetesPods: all streams of one gateway, whether they are in step, and what is wrong
stream.py      one list + watch of pods, kept up for ever
namespaces.py  what a model's name means when several namespaces are watched
events.py      faults of pods as Kubernetes Events
client.py      the only module that imports the kubernetes package
answers.py     what the API server answers, as far as it matters here, and its failures
"""
