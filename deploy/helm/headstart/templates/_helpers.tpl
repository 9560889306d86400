{{- define "headstart.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* Labels that a selector never has; of (dict "root" $ "component" name). */ -}}
{{- define "headstart.labels" -}}
{{ include "headstart.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: headstart
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}

{{- define "headstart.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "headstart.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "headstart.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* Of (dict "root" $ "target" "api"|"worker"). */ -}}
{{- define "headstart.image" -}}
{{- $image := index .root.Values.image .target -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{- /* Whole numbers of any size stay whole: values are floats to Helm, and 1e+09 is none to us. */ -}}
{{- define "headstart.number" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{- printf "%.0f" . -}}{{- else -}}{{- . -}}{{- end -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- /* One mapping of a list of them, later ones before earlier ones; unlike merge's, a 0 and a false count. */ -}}
{{- define "headstart.layers" -}}
{{- $all := dict -}}
{{- range $layer := . -}}
{{- range $name, $value := $layer -}}
{{- $_ := set $all $name $value -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- /* Environment of (dict "root" $ "settings" of the component). */ -}}
{{- define "headstart.env" -}}
{{- $all := dict "data_dir" "/data" "predictor_url" (printf "http://%s-predictor:8001" (include "headstart.fullname" .root)) -}}
{{- if .root.Values.weightsVolume -}}
{{- $_ := set $all "weights_dir" "/weights" -}}
{{- end -}}
{{- $all = include "headstart.layers" (list $all .root.Values.settings .settings) | fromJson -}}
{{- range $name := keys $all | sortAlpha }}
- name: HEADSTART_{{ upper $name }}
  value: {{ include "headstart.number" (index $all $name) | quote }}
{{- end }}
{{- range $name := list "database_url" "broker_url" }}
{{- if not (hasKey $all $name) }}
- name: HEADSTART_{{ upper $name }} # without it the pod does not start: what a pod alone holds is lost with it
  valueFrom: {secretKeyRef: {name: {{ $.root.Values.existingSecret | quote }}, key: HEADSTART_{{ upper $name }}}}
{{- end }}
{{- end }}
- name: HOME
  value: /tmp
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* A pool of trainers: what `trainer` says, and what the pool says itself before it. */ -}}
{{- define "headstart.pool" -}}
{{- $own := default (dict) .own -}}
{{- $usual := .root.Values.trainer -}}
{{- $of := include "headstart.layers" (list $usual $own) | fromJson -}}
{{- range $part := list "settings" "keda" -}}
{{- $_ := set $of $part (include "headstart.layers" (list (index $usual $part) (index $own $part)) | fromJson) -}}
{{- end -}}
{{- $resources := dict -}}
{{- range $part := list "requests" "limits" -}}
{{- $both := list (index $usual.resources $part) (index (default (dict) $own.resources) $part) -}}
{{- $_ := set $resources $part (include "headstart.layers" $both | fromJson) -}}
{{- end -}}
{{- $_ := set $of "resources" $resources -}}
{{- toYaml $of -}}
{{- end -}}

{{- /* Ten seconds more than a trainer takes to drain. */ -}}
{{- define "headstart.drain" -}}
{{- $settings := include "headstart.layers" (list (dict "drain_seconds" 20) .root.Values.settings .of.settings) | fromJson -}}
{{- add (ceil $settings.drain_seconds) 10 -}}
{{- end -}}
