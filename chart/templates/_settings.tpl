{{/* The gateway's settings: what the operator wrote over what the chart knows better than the package. */}}

{{/* Files out of Secrets, as {files: [{secret, key, file, section, setting}]}. Argument: the context. */}}
{{- define "aibrix-mw.secretFiles" -}}
files:
{{- range list
    (list "clientKeys" "auth" "keys_file")
    (list "engineKey" "auth" "engine_key_file")
    (list "storePassword" "store" "password_file")
    (list "storeCA" "store" "ca_file")
    (list "sessionKey" "routing" "session_key_file") }}
{{- $secret := index $.Values.secrets (index . 0) }}
{{- if $secret.name }}
  - {value: {{ index . 0 }}, secret: {{ $secret.name | quote }}, key: {{ $secret.key | quote }}, file: {{ index . 2 }}, section: {{ index . 1 }}, setting: {{ index . 2 }}}
{{- end }}
{{- end }}
{{- if .Values.valkey.enabled }}
  - {value: valkey.auth, secret: {{ include "aibrix-mw.valkey.secret" . | quote }}, key: {{ .Values.valkey.auth.key | quote }}, file: password_file, section: store, setting: password_file}
{{- end }}
{{- with .Values.secrets.tls.name }}
  - {value: tls, secret: {{ . | quote }}, key: tls.crt, file: tls.crt, section: listen, setting: tls_cert_file}
  - {value: tls, secret: {{ . | quote }}, key: tls.key, file: tls.key, section: listen, setting: tls_key_file}
{{- end }}
{{- end }}

{{/* "true" when clients from outside the cluster may come. Argument: the context. */}}
{{- define "aibrix-mw.exposed" -}}
{{- if or .Values.ingress.enabled .Values.httpRoute.enabled (ne .Values.service.type "ClusterIP") }}true{{ end -}}
{{- end }}

{{/* Settings that hold where the operator says nothing. Argument: the context. */}}
{{- define "aibrix-mw.settings.defaults" -}}
listen:
  admin_host: null
{{- if and .Values.ingress.enabled (eq .Values.ingress.preset "alb") }}
  keep_alive: 3620
{{- end }}
{{- if include "aibrix-mw.exposed" . }}
routing: {expose_target: false, client_headers: [config-profile]}
users: {trust_header: false}
{{- end }}
{{- if .Values.valkey.enabled }}
store: {url: "redis://{{ include "aibrix-mw.name" (dict "root" . "suffix" "valkey") }}:6379/0"}
{{- end }}
models: {{ include "aibrix-mw.models.settings" . | fromYaml | toJson }}
{{- end }}

{{/* Settings that follow from other values, whatever the operator says: validate.yaml refuses both. */}}
{{- define "aibrix-mw.settings.derived" -}}
{{- if .Values.gateway.watchAllNamespaces }}
discovery: {kubernetes: {all_namespaces: true}}
{{- end }}
{{- $sections := dict }}
{{- range (include "aibrix-mw.secretFiles" . | fromYaml).files }}
{{- $file := dict .setting (printf "/etc/aibrix-mw/secrets/%s" .file) }}
{{- $_ := set $sections .section (merge $file (get $sections .section | default dict)) }}
{{- end }}
{{- with $sections }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* All of it, as YAML. mergeOverwrite and not merge: that takes false and 0 for unset. Argument: the context. */}}
{{- define "aibrix-mw.settings" -}}
{{- $defaults := include "aibrix-mw.settings.defaults" . | fromYaml -}}
{{- $derived := include "aibrix-mw.settings.derived" . | fromYaml -}}
{{- toYaml (mergeOverwrite $defaults (deepCopy .Values.settings) $derived) -}}
{{- end }}

{{/* What changes when the pods must restart: the settings without those that the gateway reads again. */}}
{{- define "aibrix-mw.settings.checksum" -}}
{{- $settings := omit (include "aibrix-mw.settings" . | fromYaml) "models" "users" -}}
{{- $log := omit (get $settings "log" | default dict) "level" -}}
{{- $settings = omit $settings "log" -}}
{{- if $log }}{{ $_ := set $settings "log" $log }}{{ end -}}
{{- toJson $settings | sha256sum -}}
{{- end }}

{{/* Namespaces that are watched, as {names: [...]}; all of them is not asked here. Argument: the context. */}}
{{- define "aibrix-mw.namespaces" -}}
names: {{ .Values.settings.discovery.kubernetes.namespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}
