{{/*
In-flight requests of the model that one more replica is for. Each roleset scales by itself on the requests of all of them, so
that its share of these is what one replica stands for. Argument: the workload.
*/}}
{{- define "aibrix-mw.models.target" -}}
{{- mul (int .model.autoscaling.target) (int .rolesets) -}}
{{- end }}

{{/* How fast an autoscaler gives up what took minutes to load. Argument: the workload. */}}
{{- define "aibrix-mw.models.behavior" -}}
scaleDown: {stabilizationWindowSeconds: {{ int .model.autoscaling.scaleDownStabilization }}}
{{- end }}
