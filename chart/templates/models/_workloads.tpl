{{/*
What is deployed, as a JSON array: one workload for a model, for a disaggregated one a prefill and a decode workload per
roleset. Argument: the context. Each has
  key       the model's key in `models`          model     its values over modelDefaults, a role's over these
  name      what clients call it                 served    that name as the gateway knows it
  id, object, component   what tells the workload from others, its objects' name, its label
  where     the path of its values
  role, roleset, rolesets (how many), compatibility       of a disaggregated one
*/}}
{{- define "aibrix-mw.models.workloads" -}}
{{- $workloads := list -}}
{{- range $key, $given := .Values.models -}}
{{- $model := include "aibrix-mw.models.over" (dict "under" $.Values.modelDefaults "over" $given) | fromJson -}}
{{- if eq $model.engine "simulated" -}}
{{- $_ := set $model "image" ($given.image | default (include "aibrix-mw.image" $)) -}}
{{- end -}}
{{- $name := $model.name | default $key -}}
{{- $common := dict "key" $key "name" $name "served" (include "aibrix-mw.models.served" (dict "root" $ "name" $name)) -}}
{{- $rolesets := $model.disaggregation.rolesets | default list -}}
{{- if and $rolesets (not $model.config) -}}
{{- $_ := set $model "config" (dict "profiles" (dict "default" (dict "routingStrategy" "pd"))) -}}
{{- end -}}
{{- range $roleset := $rolesets -}}
{{- range $role := list "prefill" "decode" -}}
{{- $own := include "aibrix-mw.models.over" (dict "under" $model "over" (get $model.disaggregation $role | default dict)) | fromJson -}}
{{- $workloads = append $workloads (merge (dict "id" (printf "%s-%s-%s" $key $roleset $role) "model" $own
      "role" $role "where" (printf "models.%s.disaggregation.%s" $key $role) "roleset" $roleset "rolesets" (len $rolesets)
      "compatibility" (include "aibrix-mw.models.compatibility" $own)) $common) -}}
{{- end -}}
{{- end -}}
{{- if not $rolesets -}}
{{- $workloads = append $workloads (merge (dict "id" $key "model" $model "role" "" "where" (printf "models.%s" $key) "rolesets" 1) $common) -}}
{{- end -}}
{{- end -}}
{{- range $workloads -}}
{{- $_ := set . "object" (include "aibrix-mw.name" (dict "root" $ "suffix" (printf "engine-%s" .id))) -}}
{{- $_ := set . "component" (include "aibrix-mw.models.component" .id) -}}
{{- end -}}
{{- $workloads | toJson -}}
{{- end }}

{{/*
JSON of values over others, an explicit 0, "" or false included. The nearer of `replicas` and `sizing` counts.
Arguments: under, over.
*/}}
{{- define "aibrix-mw.models.over" -}}
{{- $under := deepCopy .under -}}
{{- if and (hasKey .over "sizing") (not (hasKey .over "replicas")) -}}
{{- $under = omit $under "replicas" -}}
{{- end -}}
{{- mergeOverwrite $under (deepCopy .over) | toJson -}}
{{- end }}

{{/* The name under which the gateway knows a model. Arguments: root, name. */}}
{{- define "aibrix-mw.models.served" -}}
{{- if eq (dig "discovery" "kubernetes" "model_scope" "strict" (.root.Values.settings | default dict)) "namespace" -}}
{{- printf "%s/%s" .root.Release.Namespace .name -}}
{{- else -}}
{{- .name -}}
{{- end -}}
{{- end }}

{{/* What prefill and decode must share to pair: as given, else a hash of the image and the weights. Argument: a role's values. */}}
{{- define "aibrix-mw.models.compatibility" -}}
{{- .disaggregation.compatibility | default (list .image .source .revision | toJson | sha256sum | trunc 16) -}}
{{- end }}

{{/* "true" when a label can hold a name. Argument: the name. */}}
{{- define "aibrix-mw.models.labelable" -}}
{{- if and (le (len .) 63) (regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$" .) }}true{{ end -}}
{{- end }}

{{/*
Replicas of a workload when nothing scales it: as given; else from its sizing, which is for all rolesets together; else 1.
Argument: the workload.
*/}}
{{- define "aibrix-mw.models.replicas" -}}
{{- if hasKey .model "replicas" -}}
{{- int .model.replicas -}}
{{- else if and .model.sizing.targetRps .model.sizing.sustainableRpsPerReplica -}}
{{- $capacity := mulf .model.sizing.sustainableRpsPerReplica .model.sizing.margin .rolesets -}}
{{- divf .model.sizing.targetRps $capacity | ceil | int -}}
{{- else -}}
1
{{- end -}}
{{- end }}

{{/* The component label of a workload. Argument: its id. */}}
{{- define "aibrix-mw.models.component" -}}
{{- include "aibrix-mw.short" (printf "engine-%s" .) -}}
{{- end }}
