{{/* Contradictions of the gateway half, one YAML list item each. Argument of each: the context. */}}

{{/* What is installed at all. */}}
{{- define "aibrix-mw.faults.use" -}}
{{- if not .Values.gateway.enabled }}
{{- if not .Values.models }}
- "gateway.enabled: is false and there are no models: nothing would be installed"
{{- end }}
{{- range $path, $on := dict "ingress.enabled" .Values.ingress.enabled "httpRoute.enabled" .Values.httpRoute.enabled
    "valkey.enabled" .Values.valkey.enabled "monitoring.serviceMonitor.enabled" .Values.monitoring.serviceMonitor.enabled }}
{{- if $on }}
- {{ printf "%s: is for a gateway, and gateway.enabled is false" $path | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if regexMatch "^[0-9]" (include "aibrix-mw.fullname" .) }}
- {{ printf "fullnameOverride: the release name %s begins with a digit, which no Service's name may: set it" .Release.Name | quote }}
{{- end }}
{{- end }}

{{/* The gateway's pods. */}}
{{- define "aibrix-mw.faults.pods" -}}
{{- $gateway := .Values.gateway }}
{{- $limit := (($gateway.resources | default dict).limits | default dict).memory }}
{{- $least := add 536870912 (.Values.settings.limits.max_buffered_bytes | int64) }}
{{- if and $limit (lt (include "aibrix-mw.bytes" $limit | int64) $least) }}
- {{ printf "gateway.resources.limits.memory: %v is below 512 MiB + settings.limits.max_buffered_bytes = %d bytes: a burst of large bodies would kill the pod" $limit $least | quote }}
{{- end }}
{{- if lt (include "aibrix-mw.grace" . | int64) (add (include "aibrix-mw.drain" . | int64) 15) }}
- {{ printf "gateway.terminationGracePeriodSeconds: %s is below settings.shutdown.delay + settings.shutdown.grace + 15 = %d: streams would be killed" (include "aibrix-mw.grace" .) (add (include "aibrix-mw.drain" . | int64) 15) | quote }}
{{- end }}
{{- if and (has (toString $gateway.rollout.maxSurge) (list "0" "0%")) (has (toString $gateway.rollout.maxUnavailable) (list "0" "0%")) }}
- "gateway.rollout: maxSurge and maxUnavailable are both zero: no update could ever begin"
{{- end }}
{{- if and $gateway.autoscaling.enabled (gt ($gateway.autoscaling.minReplicas | int64) ($gateway.autoscaling.maxReplicas | int64)) }}
- "gateway.autoscaling.minReplicas: is above maxReplicas"
{{- end }}
{{- include "aibrix-mw.faults.budget" . }}
{{- end }}

{{/* The PodDisruptionBudget. */}}
{{- define "aibrix-mw.faults.budget" -}}
{{- $budget := .Values.gateway.podDisruptionBudget }}
{{- $pods := .Values.gateway.autoscaling.enabled | ternary .Values.gateway.autoscaling.minReplicas .Values.gateway.replicas | int64 }}
{{- if $budget.enabled }}
{{- if kindIs "invalid" $budget.minAvailable }}
{{- if kindIs "invalid" $budget.maxUnavailable }}
- "gateway.podDisruptionBudget: names neither maxUnavailable nor minAvailable"
{{- end }}
{{- else if has (toString $budget.minAvailable) (list "0" "0%") }}
- "gateway.podDisruptionBudget.minAvailable: 0 protects nothing: leave it out, or set podDisruptionBudget.enabled: false"
{{- else if or (eq (toString $budget.minAvailable) "100%") (and (not (kindIs "string" $budget.minAvailable)) (ge ($budget.minAvailable | int64) $pods)) }}
- {{ printf "gateway.podDisruptionBudget.minAvailable: %v of %d pods blocks every node drain; set maxUnavailable: 0 if that is meant" $budget.minAvailable $pods | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Settings that contradict values, or that only a chart can know to be wrong. */}}
{{- define "aibrix-mw.faults.settings" -}}
{{- $settings := .Values.settings }}
{{- $store := $settings.store | default dict }}
{{- range $port := list "port" "admin_port" }}
{{- if eq (get $settings.listen $port | int64) 0 }}
- {{ printf "settings.listen.%s: 0 is a port that nobody can know: a pod needs a fixed one" $port | quote }}
{{- end }}
{{- end }}
{{- if eq ($settings.listen.port | int64) ($settings.listen.admin_port | int64) }}
- "settings.listen.admin_port: is also settings.listen.port"
{{- end }}
{{- range $host := list "host" "admin_host" }}
{{- if has (get $settings.listen $host) (list "127.0.0.1" "::1" "localhost") }}
- {{ printf "settings.listen.%s: %s is reached from inside the pod only" $host (get $settings.listen $host) | quote }}
{{- end }}
{{- end }}
{{- if and (get $settings.discovery.kubernetes "all_namespaces") (not .Values.gateway.watchAllNamespaces) }}
- "settings.discovery.kubernetes.all_namespaces: set gateway.watchAllNamespaces, which grants it too"
{{- end }}
{{- if and .Values.gateway.watchAllNamespaces $settings.discovery.kubernetes.namespaces }}
- "gateway.watchAllNamespaces: is true although settings.discovery.kubernetes.namespaces names some"
{{- end }}
{{- if and .Values.valkey.enabled (get $store "url") }}
- "valkey.enabled: is true although settings.store.url names another store"
{{- end }}
{{- if and .Values.valkey.enabled .Values.secrets.storePassword.name }}
- "secrets.storePassword: the bundled Valkey's password is valkey.auth.existingSecret, for both sides"
{{- end }}
{{- if regexMatch "//[^/]*:[^/@]*@|password=" (get $store "url" | default "") }}
- "settings.store.url: holds a password, which everybody may read in a ConfigMap: use secrets.storePassword"
{{- end }}
{{- range (include "aibrix-mw.secretFiles" . | fromYaml).files }}
{{- if get (get $settings .section | default dict) .setting }}
- {{ printf "settings.%s.%s: is set, and so is the Secret that it would be the file of (%s)" .section .setting .value | quote }}
{{- end }}
{{- end }}
{{- if and .Values.monitoring.serviceMonitor.enabled (eq (get ($settings.metrics | default dict) "enabled" | toString) "false") }}
- "monitoring.serviceMonitor.enabled: there is nothing to scrape, settings.metrics.enabled is false"
{{- end }}
{{- include "aibrix-mw.faults.limits" . }}
{{- end }}

{{/* Limits that replicas do not share. */}}
{{- define "aibrix-mw.faults.limits" -}}
{{- $settings := include "aibrix-mw.settings" . | fromYaml }}
{{- $several := or .Values.gateway.autoscaling.enabled (gt (.Values.gateway.replicas | int64) 1) }}
{{- $limited := or (include "aibrix-mw.models.limited" .) (get ($settings.users | default dict) "records") }}
{{- range $settings.models }}
{{- if regexMatch `"requestsPerSecond(PerReplica)?":[0-9.]*[1-9]` (toJson .) }}{{ $limited = true }}{{ end }}
{{- end }}
{{- $shared := or (get ($settings.store | default dict) "url") (get ($settings.rate_limit | default dict) "per_replica") }}
{{- if and $several $limited (not $shared) }}
- "gateway.replicas: several replicas with a limit and no store would each grant it in full: set valkey.enabled or settings.store.url, or settings.rate_limit.per_replica: true if that is meant"
{{- end }}
{{- end }}

{{/* Who reaches the gateway, and whom it reaches. */}}
{{- define "aibrix-mw.faults.network" -}}
{{- $settings := include "aibrix-mw.settings" . | fromYaml }}
{{- if and (include "aibrix-mw.exposed" .) (not (get ($settings.auth | default dict) "keys_file")) (not .Values.gateway.allowUnauthenticated) }}
- "gateway.allowUnauthenticated: an Ingress, an HTTPRoute or a Service beyond ClusterIP lets anybody in: set secrets.clientKeys, or gateway.allowUnauthenticated: true if that is meant"
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
- "httpRoute.parentRefs: is empty: the route would attach to no Gateway"
{{- end }}
{{- if and .Values.ingress.enabled (eq .Values.ingress.preset "alb") (lt (get $settings.listen "keep_alive" | float64) 3600.0) }}
- "settings.listen.keep_alive: is below the load balancer's idle timeout of 3600: it would send requests into closed connections"
{{- end }}
{{- $egress := .Values.networkPolicy.egress }}
{{- if and .Values.networkPolicy.enabled $egress.enabled }}
{{- if and $settings.discovery.kubernetes.enabled (not $egress.apiServerCIDRs) }}
- "networkPolicy.egress.apiServerCIDRs: is empty: the gateway could not watch pods"
{{- end }}
{{- if and (get ($settings.store | default dict) "url") (not .Values.valkey.enabled) (not $egress.store) }}
- "networkPolicy.egress.store: is empty: the gateway could not reach settings.store.url"
{{- end }}
{{- end }}
{{- end }}
