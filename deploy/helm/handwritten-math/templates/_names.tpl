{{- define "hm.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- /* The Service that callers use; KServe makes one for its predictor, on port 80. */ -}}
{{- define "hm.service" -}}
{{ include "hm.name" . }}{{ if .Values.kserve.enabled }}-predictor{{ end }}
{{- end }}

{{- define "hm.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hm.labels" -}}
{{ include "hm.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "hm.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "hm.name" .) "default") }}
{{- end }}

{{- define "hm.image" -}}
{{- $repository := required "image.repository: the image that deploy/container/build.sh made, in your registry" .root.Values.image.repository -}}
{{- if .digest }}{{ $repository }}@{{ .digest }}{{ else }}{{ $repository }}:{{ required "image.tag (or digest) of each track" .tag }}{{ end -}}
{{- end }}

{{- /* A pod that runs as nobody in particular and may write nothing but /tmp. */ -}}
{{- define "hm.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .group }}
fsGroup: {{ .group }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "hm.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
