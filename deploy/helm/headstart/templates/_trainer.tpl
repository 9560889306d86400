{{- /* A trainer's pod, of (dict "root" $ "component" name "of" pool); a Job's ends when it is idle. */ -}}
{{- define "headstart.trainer" -}}
{{- $job := and .of.keda.enabled (eq .of.keda.kind "ScaledJob") -}}
{{- $of := .of -}}
{{- if $job -}}
{{- $settings := include "headstart.layers" (list (dict "idle_exit_seconds" $of.keda.pollingInterval) $of.settings) | fromJson -}}
{{- $of = merge (dict "settings" $settings) (omit $of "settings") -}}
{{- end -}}
{{- $named := merge (dict "of" $of "target" "worker" "grace" (include "headstart.drain" (dict "root" .root "of" $of))) . -}}
metadata:
  labels:
    {{- include "headstart.labels" $named | nindent 4 }}
  {{- with $of.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "headstart.serviceAccount" .root }}
  {{- if $job }}
  restartPolicy: OnFailure
  {{- end }}
  {{- include "headstart.pod" $named | nindent 2 }}
  containers:
    - name: trainer
      {{- if $job }}
      command: ["python", "-m", "worker.trainer"] # it finds what waits at its start, and needs no doorbell
      {{- else }}
      command: ["celery", "-A", "worker.trainer.celery_app", "worker", "--pool=threads", "-c", "1", "--loglevel=warning"]
      {{- end }}
      {{- include "headstart.container" $named | nindent 6 }}
      livenessProbe:
        exec: {command: ["python", "-m", "worker.trainer.liveness"]}
        initialDelaySeconds: 60
        periodSeconds: 30
        timeoutSeconds: 10
        failureThreshold: 3
{{- end -}}

{{- /* How much work waits for a pool of trainers, and with "running" how much they do, too. */ -}}
{{- define "headstart.waiting" -}}
{{- $parts := .root.Files.Get "files/waiting.json" | fromJson -}}
{{- $settings := include "headstart.layers" (list $parts.defaults .root.Values.settings .of.settings) | fromJson -}}
{{- $kinds := include "headstart.sqlList" (default $parts.defaults.worker_kinds $settings.worker_kinds) -}}
{{- $names := dict "g.backbone" "" "w.backbone" "" -}}
{{- range $column := list "g.backbone" "w.backbone" -}}
{{- range $name := splitList "," $settings.gpu_backbones -}}
{{- if trim $name -}}
{{- $clause := $parts.backbone | replace "{column}" $column | replace "{backbone}" (trim $name | replace "'" "''") -}}
{{- $_ := set $names $column (printf "%s OR %s" (index $names $column) $clause) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $gpu := $parts.gpu | replace "{methods}" (include "headstart.sqlList" $settings.gpu_methods) | replace "{of_job}" (index $names "g.backbone") | replace "{of_work}" (index $names "w.backbone") -}}
SELECT count(*) FROM work w WHERE
({{ $parts.waits | replace "{kinds}" $kinds }}{{ if .running }} OR (w.state = 'running' AND w.kind IN ({{ $kinds }})){{ end }})
{{- if ne $settings.worker_accelerator "any" }}
AND {{ if eq $settings.worker_accelerator "cpu" }}NOT {{ end }}{{ $gpu }}
{{- end }}
{{- end -}}

{{- /* A setting's list by commas, as SQL has it; an empty one has nothing in it. */ -}}
{{- define "headstart.sqlList" -}}
{{- $quoted := list -}}
{{- range $name := splitList "," . -}}
{{- if trim $name -}}
{{- $quoted = append $quoted (printf "'%s'" (trim $name | replace "'" "''")) -}}
{{- end -}}
{{- end -}}
{{- default "NULL" (join ", " $quoted) -}}
{{- end -}}
