{{/* The pod of a workload, piece by piece. Arguments of each: root, workload, component. */}}

{{/* Labels of the pods: no version, so that an upgrade of the chart rolls no engine. */}}
{{- define "aibrix-mw.models.podLabels" -}}
{{- merge (include "aibrix-mw.models.ownLabels" . | fromYaml) .workload.model.labels .root.Values.commonLabels | include "aibrix-mw.stringMap" -}}
{{- end }}

{{- define "aibrix-mw.models.ownLabels" -}}
{{ include "aibrix-mw.selectorLabels" . }}
app.kubernetes.io/part-of: aibrix-mw
{{- with .workload }}
{{- if include "aibrix-mw.models.labelable" .name }}
model.aibrix.ai/name: {{ .name | quote }}
{{- end }}
model.aibrix.ai/port: {{ int .model.port | toString | quote }}
model.aibrix.ai/engine: vllm
{{- if .role }}
role-name: {{ .role }}
roleset-name: {{ .roleset | quote }}
model.aibrix.ai/pd-compatibility: {{ .compatibility | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of the pods. */}}
{{- define "aibrix-mw.models.podAnnotations" -}}
{{- $w := .workload -}}
{{- $annotations := deepCopy $w.model.annotations -}}
{{- if not (include "aibrix-mw.models.labelable" $w.name) -}}
{{- $_ := set $annotations "model.aibrix.ai/name" $w.name -}}
{{- end -}}
{{- if and $w.model.config (eq $w.model.configIn "annotation") -}}
{{- $_ := set $annotations "model.aibrix.ai/config" ($w.model.config | toPrettyJson) -}}
{{- end -}}
{{- if $w.model.adapters -}}
{{- $_ := set $annotations "model.aibrix.ai/adapters" (keys $w.model.adapters | sortAlpha | join ",") -}}
{{- end -}}
{{- with $annotations }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* The command line as a JSON array. Argument: the workload. */}}
{{- define "aibrix-mw.models.args" -}}
{{- $model := .model -}}
{{- $given := $model.args -}}
{{- $adapters := $model.adapters -}}
{{- $args := list -}}
{{- if eq $model.engine "simulated" -}}
{{- $args = list "--model" .name "--host" "0.0.0.0" "--name" "$(POD_NAME)" -}}
{{- range $adapter := keys $adapters | sortAlpha }}{{ $args = concat $args (list "--adapter" $adapter) }}{{ end -}}
{{- else -}}
{{- if hasPrefix "-" (first $given | default "-") -}}
{{- $args = append $args ($model.source | default .name) -}}
{{- else -}}
{{- $args = append $args (first $given) -}}
{{- $given = rest $given -}}
{{- end -}}
{{- if not (include "aibrix-mw.models.sets" (dict "args" $given "flag" "--served-model-name")) -}}
{{- $args = append $args (printf "--served-model-name=%s" .name) -}}
{{- end -}}
{{- with $model.revision }}{{ $args = append $args (printf "--revision=%s" .) }}{{ end -}}
{{- if $model.drain.supportsShutdownTimeout -}}
{{- $args = append $args (printf "--shutdown-timeout=%d" (int $model.drain.shutdownTimeout)) -}}
{{- end -}}
{{- if and .role $model.disaggregation.kvTransferConfig (not (include "aibrix-mw.models.sets" (dict "args" $given "flag" "--kv-transfer-config"))) -}}
{{- $args = append $args (printf "--kv-transfer-config=%s" ($model.disaggregation.kvTransferConfig | toRawJson)) -}}
{{- end -}}
{{- if $adapters -}}
{{- $args = concat $args (list "--enable-lora" "--lora-modules") -}}
{{- range $adapter := keys $adapters | sortAlpha }}{{ $args = append $args (printf "%s=%s" $adapter (get $adapters $adapter)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- concat $args (list (printf "--port=%d" (int $model.port))) $given | toJson -}}
{{- end }}

{{/* "true" when arguments set an option. Arguments: args, flag. */}}
{{- define "aibrix-mw.models.sets" -}}
{{- range .args }}{{ if or (eq . $.flag) (hasPrefix (printf "%s=" $.flag) .) }}true{{ end }}{{ end -}}
{{- end }}

{{/* The environment as a JSON array: what the model gives wins over what follows from its other values. Argument: the workload. */}}
{{- define "aibrix-mw.models.env" -}}
{{- $model := .model -}}
{{- $env := list -}}
{{- if eq $model.engine "simulated" -}}
{{- $env = list (dict "name" "POD_NAME" "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
{{- else -}}
{{- $folders := dict "HF_HOME" "huggingface" "VLLM_CACHE_ROOT" "vllm" "TORCHINDUCTOR_CACHE_DIR" "inductor" "TRITON_CACHE_DIR" "triton" "CUDA_CACHE_PATH" "cuda" "XDG_CACHE_HOME" "xdg" -}}
{{- range $variable, $folder := $folders -}}
{{- $env = append $env (dict "name" $variable "value" (printf "%s/%s" $model.cache.mountPath $folder)) -}}
{{- end -}}
{{- if $model.hardened -}}
{{- $env = concat $env (list (dict "name" "HOME" "value" $model.cache.mountPath) (dict "name" "USER" "value" "vllm")) -}}
{{- end -}}
{{- with $model.hfTokenSecret.name -}}
{{- $env = append $env (dict "name" "HF_TOKEN" "valueFrom" (dict "secretKeyRef" (dict "name" . "key" $model.hfTokenSecret.key))) -}}
{{- end -}}
{{- if .role -}}
{{- $env = append $env (dict "name" "VLLM_NIXL_SIDE_CHANNEL_HOST" "valueFrom" (dict "fieldRef" (dict "fieldPath" "status.podIP"))) -}}
{{- end -}}
{{- end -}}
{{- $given := list -}}
{{- range $model.env }}{{ $given = append $given .name }}{{ end -}}
{{- $kept := list -}}
{{- range $env }}{{ if not (has .name $given) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- concat $kept $model.env | toJson -}}
{{- end }}

{{/* Resources with the GPUs in limits and requests, as strings: older API servers take no number there. Argument: the workload's values. */}}
{{- define "aibrix-mw.models.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if and (eq .engine "vllm") (int .gpu.count) -}}
{{- $gpu := dict .gpu.resource (int .gpu.count) -}}
{{- $resources = mergeOverwrite $resources (dict "limits" $gpu "requests" $gpu) -}}
{{- else if and (eq .engine "simulated") (not $resources) -}}
{{- $resources = dict "requests" (dict "cpu" "50m" "memory" "128Mi") "limits" (dict "memory" "512Mi") -}}
{{- end -}}
{{- range $kind := list "limits" "requests" -}}
{{- with get $resources $kind }}{{ $_ := set $resources $kind (include "aibrix-mw.stringMap" . | fromYaml) }}{{ end -}}
{{- end -}}
{{- with $resources }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* Where our volumes are mounted, and the volumes themselves. Arguments: root, workload. */}}
{{- define "aibrix-mw.models.volumeMounts" -}}
{{- if eq .workload.model.engine "vllm" }}
- {name: cache, mountPath: {{ .workload.model.cache.mountPath | quote }}}
- {name: shm, mountPath: /dev/shm}
{{- if .workload.model.hardened }}
- {name: tmp, mountPath: /tmp}
{{- end }}
{{- end }}
{{- with .workload.model.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "aibrix-mw.models.volumes" -}}
{{- $cache := .workload.model.cache }}
{{- if eq .workload.model.engine "vllm" }}
- name: cache
  {{- if eq $cache.type "pvc" }}
  persistentVolumeClaim: {claimName: {{ $cache.claimName | default (include "aibrix-mw.models.claim" (dict "root" .root "key" .workload.key)) | quote }}}
  {{- else if eq $cache.type "hostPath" }}
  hostPath: {path: {{ $cache.hostPath | quote }}, type: DirectoryOrCreate}
  {{- else if $cache.size }}
  emptyDir: {sizeLimit: {{ $cache.size | quote }}}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .workload.model.shmSize | quote }}}
{{- if .workload.model.hardened }}
- name: tmp
  emptyDir: {}
{{- end }}
{{- end }}
{{- with .workload.model.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The name of the claim that a model's pods share. Arguments: root, key. */}}
{{- define "aibrix-mw.models.claim" -}}
{{- include "aibrix-mw.name" (dict "root" .root "suffix" (printf "engine-%s-cache" .key)) -}}
{{- end }}

{{/* What both legs of a roleset may not change in one upgrade. Argument: the workload. */}}
{{- define "aibrix-mw.models.rolloutDigest" -}}
{{- list .model.image (include "aibrix-mw.models.args" .) (include "aibrix-mw.models.env" .) .model.envFrom .compatibility | toJson | sha256sum -}}
{{- end }}
