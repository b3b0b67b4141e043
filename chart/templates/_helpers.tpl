{{/* Names and labels. Every helper that makes a name or labels takes a dict: root (the context), component, and what it needs. */}}

{{/* A name cut to 63 characters; what was cut off is told apart by a hash. Argument: the name. */}}
{{- define "aibrix-mw.short" -}}
{{- if gt (len .) 63 -}}
{{- printf "%s-%s" (trunc 54 . | trimSuffix "-" | trimSuffix ".") (sha256sum . | trunc 8) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end }}

{{/* What every object's name begins with: the release, unless fullnameOverride. */}}
{{- define "aibrix-mw.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- include "aibrix-mw.short" (printf "%s-%s" .Release.Name $chart) -}}
{{- end -}}
{{- end }}

{{/* The name of one of the release's objects. Arguments: root, suffix. */}}
{{- define "aibrix-mw.name" -}}
{{- include "aibrix-mw.short" (printf "%s-%s" (include "aibrix-mw.fullname" .root) .suffix) -}}
{{- end }}

{{/* Labels that select: nothing in them ever changes. Arguments: root, component. */}}
{{- define "aibrix-mw.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{/* Labels of every object: not for pod templates and selectors, the version changes. Arguments: root, component, more. */}}
{{- define "aibrix-mw.labels" -}}
{{- $labels := dict "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63)
    "app.kubernetes.io/version" .root.Chart.AppVersion
    "app.kubernetes.io/managed-by" .root.Release.Service
    "app.kubernetes.io/part-of" "aibrix-mw" -}}
{{- include "aibrix-mw.stringMap" (mergeOverwrite (deepCopy .root.Values.commonLabels) (.more | default dict) $labels (include "aibrix-mw.selectorLabels" . | fromYaml)) -}}
{{- end }}

{{/* A map as YAML whose values are strings, also where they look like numbers. Argument: the map. */}}
{{- define "aibrix-mw.stringMap" -}}
{{- $lines := list -}}
{{- range $key, $value := . -}}
{{- $lines = append $lines (printf "%s: %s" $key (kindIs "string" $value | ternary $value ($value | toJson) | quote)) -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end }}

{{/* Our own image, by digest where one is given. Argument: the context. */}}
{{- define "aibrix-mw.image" -}}
{{- include "aibrix-mw.imageOf" (dict "image" .Values.image "tag" .Chart.AppVersion) -}}
{{- end }}

{{/* An image reference. Arguments: image {repository, tag, digest}, tag (where none is given). */}}
{{- define "aibrix-mw.imageOf" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .tag) -}}
{{- end -}}
{{- end }}

{{/* The restricted security context of a container. */}}
{{- define "aibrix-mw.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The restricted security context of a pod. Arguments: user, group. */}}
{{- define "aibrix-mw.restrictedPod" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .group }}
fsGroup: {{ .group }}
seccompProfile: {type: RuntimeDefault}
{{- end }}
