{{/* What several of the gateway's objects say. Argument of each: the context. */}}

{{- define "aibrix-mw.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "aibrix-mw.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* What clients of the gateway's own port speak. */}}
{{- define "aibrix-mw.scheme" -}}
{{- if get (include "aibrix-mw.settings" . | fromYaml).listen "tls_cert_file" }}https{{ else }}http{{ end -}}
{{- end }}

{{/* Seconds from SIGTERM until streams may have ended: shutdown.delay + shutdown.grace, rounded up. */}}
{{- define "aibrix-mw.drain" -}}
{{- addf .Values.settings.shutdown.delay .Values.settings.shutdown.grace | ceil | int64 -}}
{{- end }}

{{/* terminationGracePeriodSeconds. */}}
{{- define "aibrix-mw.grace" -}}
{{- if kindIs "invalid" .Values.gateway.terminationGracePeriodSeconds -}}
{{- add (include "aibrix-mw.drain" . | int64) 15 -}}
{{- else -}}
{{- .Values.gateway.terminationGracePeriodSeconds | int64 -}}
{{- end -}}
{{- end }}

{{/* What the gateway may do in a namespace that it watches. */}}
{{- define "aibrix-mw.rules" -}}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- if .Values.settings.discovery.kubernetes.emit_events }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
{{- end }}

{{/* The subject of every binding. */}}
{{- define "aibrix-mw.subjects" -}}
- kind: ServiceAccount
  name: {{ include "aibrix-mw.serviceAccount" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* Metadata of the Valkey objects and the Secret with its password. */}}
{{- define "aibrix-mw.valkey.name" -}}
{{- include "aibrix-mw.name" (dict "root" . "suffix" "valkey") -}}
{{- end }}

{{- define "aibrix-mw.valkey.secret" -}}
{{- .Values.valkey.auth.existingSecret | default (include "aibrix-mw.valkey.name" .) -}}
{{- end }}

{{/* A quantity of memory in bytes. Argument: the quantity. */}}
{{- define "aibrix-mw.bytes" -}}
{{- $text := kindIs "string" . | ternary . (toJson .) -}}
{{- $unit := regexFind "[a-zA-Z]+$" $text -}}
{{- $factor := get (dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15
    "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0) $unit -}}
{{- mulf (trimSuffix $unit $text | float64) $factor | ceil | int64 -}}
{{- end }}
