{{/* What the rest of the chart asks of the models. Argument of each: the context. */}}

{{/* YAML map for the gateway's settings.models: NAME: {config: ...} of the models whose configIn is gateway. */}}
{{- define "aibrix-mw.models.settings" -}}
{{- $models := dict -}}
{{- range include "aibrix-mw.models.workloads" . | fromJsonArray -}}
{{- if and .model.config (eq .model.configIn "gateway") -}}
{{- $_ := set $models .served (dict "config" .model.config) -}}
{{- end -}}
{{- end -}}
{{- toYaml $models -}}
{{- end }}

{{/* "true" when a model has a limit: requestsPerSecond, of a profile or of all, or requestsPerSecondPerReplica, above 0. */}}
{{- define "aibrix-mw.models.limited" -}}
{{- $limited := "" -}}
{{- range include "aibrix-mw.models.workloads" . | fromJsonArray -}}
{{- $config := .model.config | default dict -}}
{{- range prepend (values ($config.profiles | default dict)) $config -}}
{{- if or (gt (.requestsPerSecond | default 0 | float64) 0.0) (gt (.requestsPerSecondPerReplica | default 0 | float64) 0.0) -}}
{{- $limited = "true" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $limited -}}
{{- end }}

{{/* YAML map {name, limit}: the first model's name, and its default profile's requestsPerSecond (0: none); {} without models. */}}
{{- define "aibrix-mw.models.first" -}}
{{- with include "aibrix-mw.models.workloads" . | fromJsonArray | first -}}
{{- $config := .model.config | default dict -}}
{{- $default := get ($config.profiles | default dict) ($config.defaultProfile | default "default" | trim) | default dict -}}
name: {{ .served | quote }}
limit: {{ max 0 ($default.requestsPerSecond | default 0 | int64) }}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{/* Seconds that `helm --wait` needs for the slowest model: the largest progressDeadlineSeconds; 0 without models. */}}
{{- define "aibrix-mw.models.wait" -}}
{{- $wait := 0 -}}
{{- range include "aibrix-mw.models.workloads" . | fromJsonArray -}}
{{- $wait = max $wait (include "aibrix-mw.models.progressDeadline" .model | int) -}}
{{- end -}}
{{- $wait -}}
{{- end }}

{{/* Lines of NOTES.txt about the models: what each costs and can. */}}
{{- define "aibrix-mw.models.notes" -}}
{{- range $workload := include "aibrix-mw.models.workloads" . | fromJsonArray }}
{{- $model := .model }}
{{ .where }}: {{ include "aibrix-mw.models.size" . }} of {{ .name }}{{ with .roleset }}, roleset {{ . }}{{ end }}, each ready within {{ int $model.probes.loadSeconds }} s of its start
{{- if eq $model.rollout.mode "in-place" }}
  rollout.mode in-place: an update takes a pod away before the next one loads; until that is ready, up to {{ int $model.drain.gracePeriodSeconds }} s + {{ int $model.probes.loadSeconds }} s, one replica is missing (with a single one: no service)
{{- else if eq $model.rollout.mode "recreate" }}
  rollout.mode recreate: an update ends all pods first: no service for up to {{ int $model.drain.gracePeriodSeconds }} s + {{ int $model.probes.loadSeconds }} s
{{- end }}
{{- if include "aibrix-mw.models.idleGPUs" . }}
  gpu.count is {{ int $model.gpu.count }} and args name no --tensor-parallel-size: vLLM would use one of them
{{- end }}
{{- if and (eq .role "decode") (not $model.disaggregation.allowSimultaneousRollout) }}
  an upgrade that changes image, args or env of prefill and decode of one roleset at once is refused; not in a render without a cluster, which cannot see what runs
{{- end }}
{{- end }}
{{- end }}

{{/* How many pods a workload has, in words. Argument: the workload. */}}
{{- define "aibrix-mw.models.size" -}}
{{- if .model.autoscaling.enabled -}}
{{- printf "%d to %d replicas" (int .model.autoscaling.minReplicas) (int .model.autoscaling.maxReplicas) -}}
{{- else -}}
{{- $replicas := include "aibrix-mw.models.replicas" . | int -}}
{{- printf "%d %s" $replicas (ternary "replica" "replicas" (eq $replicas 1)) -}}
{{- end -}}
{{- end }}

{{/* "true" when a pod has GPUs that no argument puts to use. Argument: the workload. */}}
{{- define "aibrix-mw.models.idleGPUs" -}}
{{- if and (eq .model.engine "vllm") (gt (int .model.gpu.count) 1) -}}
{{- if not (regexMatch "(^| )(--(tensor|pipeline|data)-parallel-size|-tp|-pp|-dp|--config)( |=|$)" (join " " .model.args)) }}true{{ end -}}
{{- end -}}
{{- end }}
