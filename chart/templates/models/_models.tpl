{{/* What the rest of the chart asks of the models. Argument of each: the context. */}}

{{/* YAML map for the gateway's settings.models: NAME: {config: ...} of the models whose configIn is gateway. */}}
{{- define "aibrix-mw.models.settings" -}}
{}
{{- end }}

{{/* "true" when a profile of a model sets a limit (requestsPerSecond, or requestsPerSecondPerReplica, above 0). */}}
{{- define "aibrix-mw.models.limited" -}}
{{- end }}

{{/* YAML map {name, limit}: the first model's name, and its default profile's requestsPerSecond (0: none); {} without models. */}}
{{- define "aibrix-mw.models.first" -}}
{}
{{- end }}

{{/* Seconds that `helm --wait` needs for the slowest model: the largest progressDeadlineSeconds; 0 without models. */}}
{{- define "aibrix-mw.models.wait" -}}
0
{{- end }}

{{/* Lines of NOTES.txt about the models: what each costs and can. */}}
{{- define "aibrix-mw.models.notes" -}}
{{- end }}
