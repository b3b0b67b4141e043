{{/* Contradictions between workloads, one YAML list item each. */}}

{{/* Between the roles of a model. Arguments: root, prefill, decode (two workloads of one roleset). */}}
{{- define "aibrix-mw.models.faults.roles" -}}
{{- $where := printf "models.%s.disaggregation" .prefill.key -}}
{{- $given := .prefill.model.disaggregation -}}
{{- if ne .prefill.compatibility .decode.compatibility }}
- {{ printf "%s.compatibility: prefill runs %s and decode %s, and nobody says that these understand each other's KV blocks: set it to a value of yours (%s is on the pods that run %s)" $where .prefill.model.image .decode.model.image .prefill.compatibility .prefill.model.image | quote }}
{{- end }}
{{- $grace := int .prefill.model.drain.gracePeriodSeconds }}
{{- if lt (int .decode.model.drain.gracePeriodSeconds) $grace }}
- {{ printf "%s.decode.drain.gracePeriodSeconds: is below prefill's %d: decode ends last" $where $grace | quote }}
{{- end }}
{{- $changed := list }}
{{- range $workload := list .prefill .decode }}
{{- $before := include "aibrix-mw.models.deployed" (dict "root" $.root "workload" $workload) }}
{{- if and $before (ne $before (include "aibrix-mw.models.rolloutDigest" $workload)) }}
{{- $changed = append $changed $workload.role }}
{{- end }}
{{- end }}
{{- if and (eq (len $changed) 2) (not $given.allowSimultaneousRollout) }}
- {{ printf "%s: image, args or env of prefill and of decode change at once in roleset %s, which would leave no complete roleset while they roll: upgrade one after the other, or set allowSimultaneousRollout: true" $where .prefill.roleset | quote }}
{{- end }}
{{- end }}

{{/* The rolloutDigest of the release that runs; empty without one, and in a render without a cluster. Arguments: root, workload. */}}
{{- define "aibrix-mw.models.deployed" -}}
{{- lookup "apps/v1" "Deployment" .root.Release.Namespace .workload.object | dig "metadata" "annotations" "aibrix-mw/rollout-digest" "" -}}
{{- end }}

{{/* Between models. Argument: the context. */}}
{{- define "aibrix-mw.models.faults.together" -}}
{{- $objects := dict -}}
{{- $configs := dict -}}
{{- range $workload := include "aibrix-mw.models.workloads" . | fromJsonArray }}
{{- if has .key (list "true" "false" "null") }}
- {{ printf "models.%s: is what YAML makes of keys such as on, no and null: quote the key, or choose another" .key | quote }}
{{- end }}
{{- if hasKey $objects .object }}
- {{ printf "models.%s: its object %s would also be that of models.%s: rename one" .key .object (get $objects .object) | quote }}
{{- end }}
{{- $_ := set $objects .object .key }}
{{- if and .model.config (eq .model.configIn "gateway") }}
{{- $config := toJson .model.config }}
{{- if ne (get $configs .served | default $config) $config }}
- {{ printf "models.%s.config: another workload gives model %s other profiles, and in the settings there is room for one" .key .name | quote }}
{{- end }}
{{- $_ := set $configs .served $config }}
{{- end }}
{{- end }}
{{- end }}

{{/* Between the models and the gateway. Argument: the context. */}}
{{- define "aibrix-mw.models.faults.gateway" -}}
{{- if .Values.gateway.enabled }}
{{- $kubernetes := .Values.settings.discovery.kubernetes }}
{{- if not $kubernetes.enabled }}
- "settings.discovery.kubernetes.enabled: is false: the gateway would not find the engines of models"
{{- else if and $kubernetes.namespaces (not (has .Release.Namespace $kubernetes.namespaces)) }}
- {{ printf "settings.discovery.kubernetes.namespaces: %s, where the engines of models go, is not among them" .Release.Namespace | quote }}
{{- end }}
{{- else if and .Values.networkPolicy.enabled (not .Values.networkPolicy.gateways) }}
- "networkPolicy.gateways: is empty and gateway.enabled is false: no gateway could reach the engines"
{{- end }}
{{- end }}
