{{/* When a pod of a workload is started, ready, alive and over. Argument of each: the workload's values. */}}

{{/* The probes as a JSON object by kind, each with what Kubernetes wants to know. */}}
{{- define "aibrix-mw.models.probes" -}}
{{- $health := dict "httpGet" (dict "path" "/health" "port" (int .port)) -}}
{{- $given := .probes -}}
{{- $probes := dict -}}
{{- if eq $given.preset "readiness-only" -}}
{{- $_ := set $probes "readiness" (dict "initialDelaySeconds" 60 "periodSeconds" 10 "failureThreshold" 30) -}}
{{- else -}}
{{- $period := dig "periodSeconds" 10 ($given.startup | default dict) -}}
{{- $_ := set $probes "startup" (dict "periodSeconds" 10 "timeoutSeconds" 5 "failureThreshold" (divf $given.loadSeconds $period | ceil | int)) -}}
{{- $_ := set $probes "readiness" (dict "periodSeconds" 5 "timeoutSeconds" 5 "failureThreshold" 3) -}}
{{- $_ := set $probes "liveness" (dict "periodSeconds" 10 "timeoutSeconds" 10 "failureThreshold" 12) -}}
{{- end -}}
{{- range $kind, $probe := $probes -}}
{{- $_ := set $probes $kind (merge (deepCopy $health) (mergeOverwrite $probe (get $given $kind | default dict))) -}}
{{- end -}}
{{- $probes | toJson -}}
{{- end }}

{{/* Seconds after which a probe that never succeeds has its effect. Argument: the probe. */}}
{{- define "aibrix-mw.models.window" -}}
{{- add (.initialDelaySeconds | default 0 | int) (mul (int .periodSeconds) (int .failureThreshold)) -}}
{{- end }}

{{/*
Seconds without progress after which a rollout counts as failed: the image is pulled, the model loads, the hook has its time;
and where the new pod needs the old one's GPU, the old one ends first.
*/}}
{{- define "aibrix-mw.models.progressDeadline" -}}
{{- $before := ternary .drain.preStopSeconds .drain.gracePeriodSeconds (eq .rollout.mode "surge") -}}
{{- add (int .rollout.imagePullSeconds) (int .probes.loadSeconds) (int $before) -}}
{{- end }}

{{/* "true" when the engine is told how long requests may run on after SIGTERM. */}}
{{- define "aibrix-mw.models.drainsItself" -}}
{{- if or (eq .engine "simulated") .drain.supportsShutdownTimeout }}true{{ end -}}
{{- end }}

{{/*
The preStop hook. Requests on their way still arrive while the gateways hear of the pod's end; an engine that would drop the
running ones at SIGTERM is waited for as well. Arguments: root, model.
*/}}
{{- define "aibrix-mw.models.preStop" -}}
{{- $seconds := int .model.drain.preStopSeconds -}}
{{- if not (include "aibrix-mw.models.drainsItself" .model) -}}
exec: {command: [python3, -c, {{ include "aibrix-mw.models.untilIdle" .model | quote }}]}
{{- else if and $seconds (semverCompare ">=1.30.0-0" .root.Capabilities.KubeVersion.Version) -}}
sleep: {seconds: {{ $seconds }}}
{{- else if $seconds -}}
exec: {command: [sleep, {{ $seconds | quote }}]}
{{- end -}}
{{- end }}

{{/* A Python program that ends when the engine runs and holds no request, or is gone; at most after the drain's time. */}}
{{- define "aibrix-mw.models.untilIdle" -}}
import re, time, urllib.error, urllib.request
time.sleep({{ int .drain.preStopSeconds }})
end = time.monotonic() + {{ int .drain.shutdownTimeout }}
while time.monotonic() < end:
    try:
        text = urllib.request.urlopen("http://127.0.0.1:{{ int .port }}/metrics", timeout=5).read().decode()
        if not sum(map(float, re.findall(r"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? (\S+)", text, re.M))):
            break
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            break
    except OSError:
        pass
    time.sleep(1)
{{- end }}

{{/* The strategy of a rollout. */}}
{{- define "aibrix-mw.models.strategy" -}}
{{- if eq .rollout.mode "recreate" -}}
type: Recreate
{{- else -}}
{{- $none := ternary 0 1 (eq .rollout.mode "surge") -}}
type: RollingUpdate
rollingUpdate:
  maxUnavailable: {{ include "aibrix-mw.models.share" (dig "maxUnavailable" $none .rollout) }}
  maxSurge: {{ include "aibrix-mw.models.share" (dig "maxSurge" (sub 1 $none) .rollout) }}
{{- end -}}
{{- end }}

{{/* A number of pods, or a percentage of them. Argument: either. */}}
{{- define "aibrix-mw.models.share" -}}
{{- if kindIs "string" . }}{{ quote . }}{{ else }}{{ int . }}{{ end -}}
{{- end }}
