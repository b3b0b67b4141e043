{{/* A pod of `helm test`. Arguments: root, check (an argument of files/check.py). */}}
{{- define "aibrix-mw.test" -}}
{{- $root := .root -}}
{{- $key := $root.Values.tests.clientKey -}}
{{- $first := include "aibrix-mw.models.first" $root | fromYaml -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "aibrix-mw.name" (dict "root" $root "suffix" (printf "test-%s" .check)) }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "aibrix-mw.labels" (dict "root" $root "component" "test") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  activeDeadlineSeconds: {{ add ($root.Values.tests.timeout | int64) 150 }}
  securityContext: {{- include "aibrix-mw.restrictedPod" (dict "user" 65532 "group" 65532) | nindent 4 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.gateway.nodeSelector }}
  nodeSelector: {{- include "aibrix-mw.stringMap" . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.gateway.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: check
      image: {{ include "aibrix-mw.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [python, -c]
      args:
        - |
          {{- $root.Files.Get "files/check.py" | nindent 10 }}
        - {{ .check }}
      env:
        - {name: GATEWAY_URL, value: "{{ include "aibrix-mw.scheme" $root }}://{{ include "aibrix-mw.fullname" $root }}.{{ $root.Release.Namespace }}:{{ $root.Values.service.port }}"}
        - {name: TIMEOUT, value: {{ $root.Values.tests.timeout | toJson | quote }}}
        {{- if $first.name }}
        - {name: MODEL, value: {{ $first.name | quote }}}
        - {name: LIMIT, value: {{ $first.limit | toJson | quote }}}
        {{- end }}
        {{- if $key.name }}
        - {name: CLIENT_KEY_FILE, value: /etc/aibrix-mw/client-key/key}
        {{- end }}
      resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 128Mi}}
      securityContext: {{- include "aibrix-mw.restricted" $root | nindent 8 }}
      {{- if $key.name }}
      volumeMounts:
        - {name: key, mountPath: /etc/aibrix-mw/client-key, readOnly: true}
      {{- end }}
  {{- if $key.name }}
  volumes:
    - name: key
      secret: {secretName: {{ $key.name }}, items: [{key: {{ $key.key | quote }}, path: key}]}
  {{- end }}
{{- end }}

{{/* "true" when a test may ask as a client: no key is needed, or one is given. Argument: the context. */}}
{{- define "aibrix-mw.test.client" -}}
{{- $settings := include "aibrix-mw.settings" . | fromYaml -}}
{{- if or (not (get ($settings.auth | default dict) "keys_file")) .Values.tests.clientKey.name }}true{{ end -}}
{{- end }}
