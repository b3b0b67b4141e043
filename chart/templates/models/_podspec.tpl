{{/* The spec of a workload's pods. Arguments: root, workload. */}}
{{- define "aibrix-mw.models.podSpec" -}}
{{- $model := .workload.model -}}
{{- $simulated := eq $model.engine "simulated" -}}
{{- $security := dict "user" (ternary 65532 (int $model.runAsUser) $simulated) "group" (ternary 65532 (int $model.runAsUser) $simulated) -}}
{{- range $key := list "serviceAccountName" "runtimeClassName" "priorityClassName" }}
{{- with get $model $key }}
{{ $key }}: {{ quote . }}
{{- end }}
{{- end }}
automountServiceAccountToken: false
# a Service named vllm would set VLLM_PORT in every pod beside it
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int $model.drain.gracePeriodSeconds }}
{{- if or $simulated $model.hardened }}
securityContext: {{- include "aibrix-mw.restrictedPod" $security | nindent 2 }}
  fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- with concat $.root.Values.imagePullSecrets $model.imagePullSecrets | uniq }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $key := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $model $key }}
{{ $key }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $model.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "aibrix-mw.selectorLabels" $ | fromYaml)) }}
  - {{- toYaml (mergeOverwrite $selector .) | nindent 4 }}
  {{- end }}
{{- end }}
containers:
  - {{ include "aibrix-mw.models.container" . | nindent 4 | trim }}
{{- with include "aibrix-mw.models.volumes" . | trim }}
volumes: {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "aibrix-mw.models.container" -}}
{{- $model := .workload.model -}}
name: engine
image: {{ $model.image | quote }}
{{- if eq $model.engine "simulated" }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [aibrix-mw, engine]
{{- else }}
command: [vllm, serve]
{{- end }}
{{- if or $model.hardened (eq $model.engine "simulated") }}
securityContext: {{- include "aibrix-mw.restricted" . | nindent 2 }}
{{- end }}
args: {{- include "aibrix-mw.models.args" .workload | fromJsonArray | toYaml | nindent 2 }}
ports:
  - {name: http, containerPort: {{ int $model.port }}}
{{- with include "aibrix-mw.models.env" .workload | fromJsonArray }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $model.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $kind, $probe := include "aibrix-mw.models.probes" $model | fromJson }}
{{ $kind }}Probe: {{- toYaml $probe | nindent 2 }}
{{- end }}
{{- with include "aibrix-mw.models.preStop" (dict "root" .root "model" $model) }}
lifecycle:
  preStop: {{- . | nindent 4 }}
{{- end }}
{{- with include "aibrix-mw.models.resources" $model }}
resources: {{- . | nindent 2 }}
{{- end }}
{{- with include "aibrix-mw.models.volumeMounts" . | trim }}
volumeMounts: {{- . | nindent 2 }}
{{- end }}
{{- end }}
