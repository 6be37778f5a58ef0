{{- /* The pod of a track: the API's container without rights. `container` is its name. */ -}}
{{- define "hm.pod" -}}
{{- $root := .root }}{{- $track := .track }}{{- $container := .container }}
{{- with .root -}}
serviceAccountName: {{ include "hm.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
# The service answers what it has begun, for a minute at most.
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext: {{- include "hm.podSecurity" (dict "user" 1034 "group" 1034) | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- range . }}{{ dict "name" . | list | toYaml | nindent 2 }}{{ end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
containers:
  - name: {{ $container }}
    image: {{ include "hm.image" (dict "root" . "tag" $track.tag "digest" $track.digest) | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    securityContext: {{- include "hm.containerSecurity" . | nindent 6 }}
    ports: [{name: http, containerPort: 3000}]
    env:
      - {name: PORT, value: "3000"}
      {{- if not (hasKey .Values.settings "THREADS") }}
      # ONNX Runtime would count the node's cores.
      - name: THREADS
        valueFrom: {resourceFieldRef: {containerName: {{ $container }}, resource: limits.cpu, divisor: "1"}}
      {{- end }}
      {{- range $name, $value := .Values.settings }}
      - name: {{ $name }}
        value: {{ $value | toString | quote }}
      {{- end }}
      {{- with .Values.apiKeys.existingSecret }}
      - {name: API_KEYS_FILE, value: /secrets/keys/keys.json}
      - name: API_KEY_PEPPER
        valueFrom: {secretKeyRef: {name: {{ . }}, key: pepper}}
      {{- end }}
      {{- if .Values.redis.existingSecret }}
      - name: REDIS_URL
        valueFrom: {secretKeyRef: {name: {{ .Values.redis.existingSecret }}, key: url}}
      {{- else if .Values.redis.enabled }}
      - {name: REDIS_URL, value: "redis://{{ include "hm.name" . }}-redis:6379/0"}
      {{- end }}
      {{- if .Values.kept.existingClaim }}
      - name: POD_NAME
        valueFrom: {fieldRef: {fieldPath: metadata.name}}
      - {name: MONITOR_FOLDER, value: /kept/monitoring/$(POD_NAME)}  # each replica needs its own
      - {name: FEEDBACK_FOLDER, value: /kept/feedback}
      {{- end }}
    resources: {{- toYaml .Values.resources | nindent 6 }}
    startupProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 60
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 3
    livenessProbe:
      httpGet: {path: /livez, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    lifecycle:
      # Endpoints learn of the pod's end later than the pod.
      preStop: {exec: {command: [sleep, "5"]}}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if .Values.apiKeys.existingSecret }}
      - {name: keys, mountPath: /secrets/keys, readOnly: true}
      {{- end }}
      {{- if .Values.kept.existingClaim }}
      - {name: kept, mountPath: /kept}
      {{- end }}
volumes:
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 128Mi}
  {{- with .Values.apiKeys.existingSecret }}
  - name: keys
    secret: {secretName: {{ . }}, items: [{key: keys.json, path: keys.json}]}
  {{- end }}
  {{- with .Values.kept.existingClaim }}
  - name: kept
    persistentVolumeClaim: {claimName: {{ . }}}
  {{- end }}
{{- with .Values.topologyKey }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "hm.selector" $root | nindent 8 }}
        track: {{ $track.track }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
