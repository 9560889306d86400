{{- /* A pod's fields that every process has, of (dict "root" $ "target" "component" "of" "grace"). */ -}}
{{- define "headstart.pod" -}}
{{- $of := .of -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .grace }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- range $field := list "priorityClassName" "runtimeClassName" }}
{{- with index $of $field }}
{{ $field }}: {{ . }}
{{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $of $field }}
{{ $field }}:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
{{- with $of.topologySpreadConstraints }}
topologySpreadConstraints:
{{ toYaml . | indent 2 }}
{{- end }}
volumes:
  - name: data
{{ toYaml (default (dict "emptyDir" (dict)) $of.dataVolume) | indent 4 }}
  - name: tmp
    emptyDir: {}
{{- with .root.Values.weightsVolume }}
  - name: weights
{{ toYaml . | indent 4 }}
{{- end }}
{{- end -}}

{{- /* A container's fields that every process has, of (dict "root" $ "target" "of"). */ -}}
{{- define "headstart.container" -}}
image: {{ include "headstart.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
envFrom:
  - secretRef: {name: {{ .root.Values.existingSecret | quote }}}
env:
{{- include "headstart.env" (dict "root" .root "settings" (default (dict) .of.settings)) | nindent 2 }}
{{- if eq .target "worker" }}
  - name: HEADSTART_SECRETS_KEY # the app's alone, though the Secret has it
    value: ""
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
{{ toYaml .of.resources | indent 2 }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
{{- if .root.Values.weightsVolume }}
  - {name: weights, mountPath: /weights, readOnly: true}
{{- end }}
{{- end -}}
