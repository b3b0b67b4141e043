{{/* Contradictions of one workload, one YAML list item each. Arguments of each: root, workload. */}}

{{/* When a pod counts as started, dead and over. */}}
{{- define "aibrix-mw.models.faults.time" -}}
{{- $where := .workload.where -}}
{{- $model := .workload.model -}}
{{- $probes := include "aibrix-mw.models.probes" $model | fromJson -}}
{{- if $probes.startup }}
{{- $startup := include "aibrix-mw.models.window" $probes.startup | int }}
{{- if lt $startup (int $model.probes.loadSeconds) }}
- {{ printf "%s.probes.startup: gives up after %d s, and loading takes up to loadSeconds = %d: the pod would be killed while it loads" $where $startup (int $model.probes.loadSeconds) | quote }}
{{- end }}
{{- $alive := mul (int $probes.liveness.periodSeconds) (int $probes.liveness.failureThreshold) }}
{{- $ready := mul (int $probes.readiness.periodSeconds) (int $probes.readiness.failureThreshold) }}
{{- if le $alive $ready }}
- {{ printf "%s.probes.liveness: kills after %d s, not later than readiness, which takes the pod out of service after %d s: an overloaded engine would be killed instead of relieved" $where $alive $ready | quote }}
{{- end }}
{{- end }}
{{- $drain := add (int $model.drain.preStopSeconds) (int $model.drain.shutdownTimeout) }}
{{- if le (int $model.drain.gracePeriodSeconds) $drain }}
- {{ printf "%s.drain.gracePeriodSeconds: %d is not above preStopSeconds + shutdownTimeout = %d: requests would be killed" $where (int $model.drain.gracePeriodSeconds) $drain | quote }}
{{- end }}
{{- end }}

{{/* How pods are replaced, and how many there are. */}}
{{- define "aibrix-mw.models.faults.rollout" -}}
{{- $where := .workload.where -}}
{{- $rollout := .workload.model.rollout -}}
{{- $scaling := .workload.model.autoscaling -}}
{{- $zero := list "0" "0%" -}}
{{- $surge := get $rollout "maxSurge" | toString -}}
{{- if and (eq $rollout.mode "surge") (has $surge $zero) (has (dig "maxUnavailable" 0 $rollout | toString) $zero) }}
- {{ printf "%s.rollout: maxSurge and maxUnavailable are both zero: no update could ever begin; mode in-place is for clusters without a spare GPU" $where | quote }}
{{- else if and (eq $rollout.mode "in-place") (hasKey $rollout "maxSurge") (not (has $surge $zero)) }}
- {{ printf "%s.rollout.maxSurge: mode in-place has no pod to spare; use mode surge" $where | quote }}
{{- else if and (eq $rollout.mode "in-place") (has (dig "maxUnavailable" 1 $rollout | toString) $zero) }}
- {{ printf "%s.rollout.maxUnavailable: mode in-place takes at least one pod away" $where | quote }}
{{- else if and (eq $rollout.mode "recreate") (or (hasKey $rollout "maxSurge") (hasKey $rollout "maxUnavailable")) }}
- {{ printf "%s.rollout: mode recreate ends all pods at once; maxSurge and maxUnavailable mean nothing to it" $where | quote }}
{{- end }}
{{- $sizing := .workload.model.sizing }}
{{- if ne (hasKey $sizing "targetRps") (hasKey $sizing "sustainableRpsPerReplica") }}
- {{ printf "%s.sizing: needs targetRps and sustainableRpsPerReplica both" $where | quote }}
{{- end }}
{{- if $scaling.enabled }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
- {{ printf "%s.autoscaling.minReplicas: is above maxReplicas" $where | quote }}
{{- end }}
{{- if and (eq $scaling.kind "hpa") (not (include "aibrix-mw.models.labelable" .workload.served)) }}
- {{ printf "%s.autoscaling.kind: hpa selects the metric by a label, and no label can hold %s: use keda, or another name" $where .workload.served | quote }}
{{- end }}
{{- if and (eq $scaling.kind "keda") (not $scaling.prometheus) }}
- {{ printf "%s.autoscaling.prometheus: keda asks Prometheus: give its URL" $where | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Options that are values of their own. */}}
{{- define "aibrix-mw.models.faults.args" -}}
{{- $own := dict "--port" "port" "-p" "port" "--revision" "revision" "--shutdown-timeout" "drain.shutdownTimeout" "--model" "source" -}}
{{- if eq .workload.model.engine "simulated" -}}
{{- $own = dict "--port" "port" "--model" "name" "--adapter" "adapters" -}}
{{- else if .workload.model.adapters -}}
{{- $_ := set $own "--lora-modules" "adapters" -}}
{{- end -}}
{{- range $option, $value := $own }}
{{- if include "aibrix-mw.models.sets" (dict "args" $.workload.model.args "flag" $option) }}
- {{ printf "%s.args: sets %s; set %s instead, on which more depends" $.workload.where $option $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where weights and compiled kernels are kept. */}}
{{- define "aibrix-mw.models.faults.volumes" -}}
{{- $where := .workload.where -}}
{{- $model := .workload.model -}}
{{- $cache := $model.cache -}}
{{- if eq $model.engine "vllm" }}
{{- if and (eq $cache.type "pvc") (ne $cache.accessMode "ReadWriteMany") }}
{{- $one := and (not .workload.role) (not $model.autoscaling.enabled) (le (include "aibrix-mw.models.replicas" .workload | int) 1) }}
{{- if or (not $one) (eq $model.rollout.mode "surge") }}
- {{ printf "%s.cache.accessMode: a %s volume is for one pod, and there would be several (replicas, autoscaling, roles, or a rollout that surges): use ReadWriteMany, or one replica with rollout.mode in-place or recreate" $where $cache.accessMode | quote }}
{{- end }}
{{- end }}
{{- if and (eq $cache.type "pvc") (not $cache.size) (not $cache.claimName) }}
- {{ printf "%s.cache.size: a new volume needs a size, or claimName one that exists" $where | quote }}
{{- end }}
{{- if and (eq $cache.type "hostPath") (not $cache.hostPath) }}
- {{ printf "%s.cache.hostPath: is empty: name a folder of the nodes" $where | quote }}
{{- end }}
{{- if and (eq $cache.type "hostPath") $model.hardened }}
- {{ printf "%s.cache.type: hostPath is not allowed with hardened: use pvc or emptyDir" $where | quote }}
{{- end }}
{{- end }}
{{- range $model.volumes }}
{{- if and $model.hardened (hasKey . "hostPath") }}
- {{ printf "%s.volumes: hostPath is not allowed with hardened" $where | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels and annotations that the chart writes itself. */}}
{{- define "aibrix-mw.models.faults.labels" -}}
{{- $own := append (include "aibrix-mw.models.ownLabels" . | fromYaml | keys) "model.aibrix.ai/name" -}}
{{- range $key := keys .workload.model.labels | sortAlpha }}
{{- if has $key $own }}
- {{ printf "%s.labels: %s is the chart's own" $.workload.where $key | quote }}
{{- end }}
{{- end }}
{{- range $key := list "model.aibrix.ai/name" "model.aibrix.ai/config" "model.aibrix.ai/adapters" }}
{{- if hasKey $.workload.model.annotations $key }}
- {{ printf "%s.annotations: %s is made of %s" $.workload.where $key (last (splitList "/" $key)) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the profiles say of each other, and where they go. */}}
{{- define "aibrix-mw.models.faults.config" -}}
{{- $where := .workload.where -}}
{{- $model := .workload.model -}}
{{- if $model.config }}
{{- $default := $model.config.defaultProfile | default "" | trim }}
{{- if and $default (not (hasKey $model.config.profiles $default)) }}
- {{ printf "%s.config.defaultProfile: there is no profile %s" $where $default | quote }}
{{- end }}
{{- if .workload.role }}
{{- $strategies := list (dig "routing" "default_strategy" "" (.root.Values.settings | default dict)) ($model.config.lockedRoutingStrategy | default "") }}
{{- range $model.config.profiles }}{{ $strategies = append $strategies (.routingStrategy | default "") }}{{ end }}
{{- if not (regexMatch "(^| |,)pd( |,|:|$)" (join " " $strategies)) }}
- {{ printf "models.%s.config: no profile routes with pd: the legs of a roleset would be taken for whole engines" .workload.key | quote }}
{{- end }}
{{- end }}
{{- if eq $model.configIn "gateway" }}
{{- $written := dig "models" .workload.served dict (.root.Values.settings | default dict) }}
{{- if not .root.Values.gateway.enabled }}
- {{ printf "%s.configIn: gateway.enabled is false: the profiles would be nowhere; use annotation" $where | quote }}
{{- else if hasKey $written "config" }}
- {{ printf "%s.configIn: settings.models.%s.config is given too: which one is meant?" $where .workload.served | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
